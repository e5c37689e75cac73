// What a workspace has bound from others, with how many objects there are of it.

import { Collection, resourcePath } from "./api.js";
import { h } from "./dom.js";
import { isOwn } from "./exports.js";
import { Section, badge } from "./rows.js";

const BINDINGS = { group: "apis.kcp.io", version: "v1alpha2", resource: "apibindings" };

/** See `WorkspaceView` for the context. */
export class Bindings {
  #context;
  #bindings;
  #objects = new Map(); // "resource.group" → the Collection of its objects
  #section = new Section("Bindings", "APIs that this workspace has from others.", (fact) => this.#row(fact));
  element = this.#section.element;

  constructor(context) {
    this.#context = context;
    this.#bindings = context.follow(BINDINGS);
  }

  /** Whether something is bound that was not served when the page looked. */
  get isAhead() {
    return this.#bound().some((one) => !this.#context.serves(one));
  }

  refresh() {
    const wanted = new Map(this.#bound().map((one) => [keyOf(one), one]));
    for (const [name, list] of this.#objects) {
      if (wanted.has(name)) continue;
      list.stop();
      this.#objects.delete(name);
    }
    for (const [name, one] of wanted) {
      const served = this.#context.serves(one);
      if (!served || this.#objects.has(name)) continue;
      const { session, path, onChange } = this.#context;
      this.#objects.set(name, new Collection(session, resourcePath(path, served), { onChange }));
    }
    this.#section.show(this.#shown().map((object) => this.#fact(object)));
  }

  stop() {
    for (const list of this.#objects.values()) list.stop();
  }

  #shown() {
    return this.#bindings.sorted().filter(({ spec }) => !isOwn(spec.reference?.export?.name ?? ""));
  }

  #bound() {
    return this.#shown().flatMap(({ status }) => status?.boundResources ?? []);
  }

  #fact({ metadata, spec, status = {} }) {
    const { path = "", name = "" } = spec.reference?.export ?? {};
    const resources = (status.boundResources ?? []).map((one) => {
      const list = this.#objects.get(keyOf(one));
      return { ...one, served: this.#context.serves(one), count: list?.loaded ? list.count : null };
    });
    const known = Boolean(this.#context.tree.find(path));
    return { key: metadata.name, path, name, known, phase: status.phase ?? "Binding", resources };
  }

  #row({ key, path, name, known, phase, resources }) {
    const from = known ? h("a", { href: `#/${path}` }, path) : path;
    return h(
      "li",
      {},
      h("strong", {}, key),
      badge(phase, "Bound"),
      h("span", { class: "caption" }, "from ", from, ` : ${name}`),
      h(
        "span",
        { class: "tags" },
        resources.map((one) => this.#tag(one)),
      ),
    );
  }

  #tag({ resource, served, count }) {
    return h(
      "button",
      { type: "button", class: "tag", disabled: !served, onclick: () => this.#context.show(served) },
      resource,
      count !== null && h("b", {}, ` ${count.toLocaleString("en")}`),
      served?.readOnly && h("em", {}, " read-only"),
    );
  }
}

function keyOf({ group, resource }) {
  return `${resource}.${group}`;
}
