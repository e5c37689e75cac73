// What a workspace exports, and who has bound it: by way of the APIExports' view of their consumers.

import { Collection, resourcePath } from "./api.js";
import { h, plural } from "./dom.js";
import { Section } from "./rows.js";

const SLICES = { group: "cache.kcp.io", version: "v1alpha1", resource: "cachedresourceendpointslices" };
const EXPORTS = { group: "apis.kcp.io", version: "v1alpha2", resource: "apiexports" };
const BINDINGS = { group: "apis.kcp.io", version: "v1alpha2", resource: "apibindings" };

/** See `WorkspaceView` for the context. */
export class Exports {
  #context;
  #slices;
  #exports;
  #bindings = new Map(); // APIExport → the Collection of the APIBindings to it
  #section = new Section("Exports", "APIs that other workspaces can bind.", (fact) => this.#row(fact));
  element = this.#section.element;

  constructor(context) {
    this.#context = context;
    this.#slices = context.follow(SLICES);
    this.#exports = context.follow(EXPORTS);
  }

  /** The logical clusters that bind what offers a CachedResource, and how many more; null: this user may not know. */
  consumersOf(cachedResource) {
    const exports = this.#of(cachedResource);
    if (!exports.length) return { clusters: [], more: 0 };
    const lists = exports.map((name) => this.#bindings.get(name)).filter((list) => list?.loaded);
    if (!lists.length) return null;
    const bound = lists.flatMap((list) => list.sorted()).filter(({ status }) => status?.phase === "Bound");
    const clusters = new Set(bound.map(({ metadata }) => metadata.annotations["kcp.io/cluster"]));
    return { clusters: [...clusters].sort(), more: lists.reduce((sum, list) => sum + list.more, 0) };
  }

  /** Where the APIBindings of a CachedResource's consumers are. */
  bindingsPath(cachedResource) {
    return this.#pathOf(this.#of(cachedResource)[0]);
  }

  refresh() {
    const objects = this.#exports.sorted().filter(({ metadata }) => !isOwn(metadata.name));
    const live = new Set(objects.map(({ metadata }) => metadata.name));
    for (const [name, list] of this.#bindings) {
      if (live.has(name)) continue;
      list.stop();
      this.#bindings.delete(name);
    }
    for (const name of live) {
      if (this.#bindings.has(name)) continue;
      const { session, onChange } = this.#context;
      this.#bindings.set(name, new Collection(session, this.#pathOf(name), { onChange }));
    }
    this.#section.show(objects.map((object) => this.#fact(object)));
  }

  stop() {
    for (const list of this.#bindings.values()) list.stop();
  }

  // The APIExports that offer a CachedResource, by way of its endpoint slices.
  #of(cachedResource) {
    const ours = this.#slices.sorted().filter(({ spec }) => spec.cachedResource?.name === cachedResource);
    const slices = new Set(ours.map(({ metadata }) => metadata.name));
    const offers = ({ storage }) => slices.has(storage?.virtual?.reference?.name);
    const found = this.#exports.sorted().filter(({ spec }) => (spec.resources ?? []).some(offers));
    return found.map(({ metadata }) => metadata.name);
  }

  #pathOf(name) {
    return resourcePath("*", BINDINGS, `/services/apiexport/${this.#context.path}/${name}`);
  }

  #fact({ metadata, spec }) {
    const list = this.#bindings.get(metadata.name);
    const resources = (spec.resources ?? []).map(({ name, storage }) => ({ name, cached: Boolean(storage?.virtual) }));
    return { key: metadata.name, resources, bound: list?.loaded ? plural(list.count, "binding") : "" };
  }

  #row({ key, resources, bound }) {
    const tags = resources.map(({ name, cached }) =>
      h("span", { class: "tag" }, name, cached && h("em", {}, " cached")),
    );
    return h(
      "li",
      {},
      h("button", { type: "button", class: "link", onclick: () => this.#context.show(EXPORTS) }, key),
      h("span", { class: "tags" }, tags),
      h("span", { class: "caption" }, bound),
    );
  }
}

/** Whether an export is one of kcp's own APIs, which every workspace has. */
export function isOwn(name) {
  return name.endsWith(".kcp.io");
}
