// Everything about one workspace: its CachedResources, what it exports and binds, and all that can be listed in it.

import { Collection, discover, resourcePath } from "./api.js";
import { Bindings } from "./bindings.js";
import { CachedResourceCard } from "./cached.js";
import { age, coalesced, h, replace, say } from "./dom.js";
import { Exports } from "./exports.js";
import { showObjects } from "./objects.js";
import { Section, badge } from "./rows.js";

const CACHED_RESOURCES = { group: "cache.kcp.io", version: "v1alpha1", resource: "cachedresources" };
const TICK = 1000;
const NOTHING = { sorted: () => [], stop: () => {} };

/**
 * The main part of the page. Its parts share a context: `session`, `panel`, `tree`, the workspace's `path`,
 * `onChange()`, `follow(resource)` for a Collection of the workspace, `serves(resource)` for what discovery says of it,
 * and `show(resource)` to open it in the panel.
 */
export class WorkspaceView {
  element = h("div", { class: "workspace" });
  #context;
  #resources = [];
  #collections = [];
  #cached = NOTHING;
  #cards = new Map();
  #exports;
  #bindings;
  #discovered = Date.now();
  #timer;
  #stopped = false;
  #facts = h("p", { class: "caption" });
  #cardList = h("div", { class: "cards" });
  #cardSection = h(
    "section",
    { hidden: true },
    h("h2", {}, "Cached resources"),
    h("p", { class: "caption" }, "What this workspace shares: copied once, read by every consumer."),
    this.#cardList,
  );
  #children = new Section("Workspaces", "Below this one, as far as you may enter them.", childRow);
  #nothing = h(
    "p",
    { class: "caption", hidden: true },
    "Nothing is shared, exported or bound here that you may see, and there are no workspaces below.",
  );
  #resourceList = h("div", { class: "groups" });
  #resourceSection = h("details", {}, h("summary", {}, h("h2", {}, "All resources")), this.#resourceList);
  #draw = coalesced(() => this.#refresh());

  constructor(session, panel, tree, path) {
    this.#context = {
      session,
      panel,
      tree,
      path,
      onChange: this.#draw,
      follow: (resource) => this.#follow(resource),
      serves: ({ group, resource }) => this.#resources.find((one) => one.group === group && one.resource === resource),
      show: (resource) => showObjects(panel, session, resourcePath(path, resource), resource.resource, `in ${path}`),
    };
    replace(this.element, h("h1", {}, crumbs(path)), this.#facts, h("p", { class: "caption" }, "Loading …"));
    this.#load();
    this.#timer = setInterval(() => this.#tick(), TICK);
  }

  /** The tree has changed. */
  refresh() {
    this.#draw();
  }

  stop() {
    this.#stopped = true;
    clearInterval(this.#timer);
    for (const part of [...this.#collections, ...this.#cards.values(), this.#exports, this.#bindings]) part?.stop();
  }

  async #load() {
    const { session, path } = this.#context;
    try {
      this.#resources = await discover(session, path);
    } catch (error) {
      const hidden = error.code === 403 || error.code === 404;
      const message = hidden ? "There is no such workspace, or you may not enter it." : error.message;
      replace(this.element, h("h1", {}, path), h("p", { class: "notice", role: "alert" }, message));
      return;
    }
    if (this.#stopped) return;
    this.#cached = this.#follow(CACHED_RESOURCES);
    this.#exports = new Exports(this.#context);
    this.#bindings = new Bindings(this.#context);
    replace(
      this.element,
      this.element.firstChild,
      this.#facts,
      this.#cardSection,
      this.#children.element,
      this.#exports.element,
      this.#bindings.element,
      this.#nothing,
      this.#resourceSection,
    );
    this.#listResources();
    this.#draw();
  }

  // All objects of a resource in the workspace; none where that is not served.
  #follow(resource) {
    const { session, path, serves } = this.#context;
    if (!serves(resource)) return NOTHING;
    const found = new Collection(session, resourcePath(path, resource), { onChange: this.#draw });
    this.#collections.push(found);
    return found;
  }

  #refresh() {
    if (this.#stopped || !this.#exports) return;
    const node = this.#context.tree.find(this.#context.path);
    say(this.#facts, node && !node.parent ? "The workspace to begin with" : factsOf(node?.object));
    this.#children.show(
      (node?.children ?? []).map(({ path, name, object }) => ({ key: path, name, ...phaseAndType(object) })),
    );
    this.#exports.refresh();
    this.#bindings.refresh();
    this.#refreshCards();
    const parts = [this.#cardSection, this.#children.element, this.#exports.element, this.#bindings.element];
    this.#nothing.hidden = !this.#loaded || parts.some((part) => !part.hidden);
  }

  get #loaded() {
    return this.#collections.every(({ loaded, error }) => loaded || error);
  }

  #refreshCards() {
    const objects = this.#cached.sorted();
    const live = new Set(objects.map(({ metadata }) => metadata.name));
    for (const [name, card] of this.#cards) {
      if (live.has(name)) continue;
      card.stop();
      this.#cards.delete(name);
    }
    for (const object of objects) {
      const { name } = object.metadata;
      const known = this.#cards.get(name);
      if (known) known.update(object);
      else this.#cards.set(name, new CachedResourceCard(this.#context, this.#exports, object));
    }
    this.#cardSection.hidden = !objects.length;
    replace(
      this.#cardList,
      objects.map(({ metadata }) => this.#cards.get(metadata.name).element),
    );
  }

  #listResources() {
    const groups = new Map();
    for (const one of this.#resources) groups.set(one.group, [...(groups.get(one.group) ?? []), one]);
    const button = (one) =>
      h("button", { type: "button", class: "tag", onclick: () => this.#context.show(one) }, one.resource);
    const inOrder = [...groups].sort(([one], [other]) => one.localeCompare(other));
    replace(
      this.#resourceList,
      inOrder.map(([group, found]) =>
        h("div", {}, h("h3", {}, group || "core"), h("div", { class: "tags" }, found.map(button))),
      ),
    );
  }

  #tick() {
    for (const card of this.#cards.values()) card.tick();
    if (this.#bindings?.isAhead) this.#discoverAgain();
  }

  // Something is bound that was not served when the page looked: look again.
  async #discoverAgain() {
    if (Date.now() - this.#discovered < TICK) return;
    this.#discovered = Date.now();
    const resources = await discover(this.#context.session, this.#context.path).catch(() => null);
    if (!resources || this.#stopped) return;
    this.#resources = resources;
    this.#listResources();
    this.#draw();
  }
}

function crumbs(path) {
  return path.split(":").map((name, at, all) => {
    const isLast = at === all.length - 1;
    const shown = isLast ? name : h("a", { href: `#/${all.slice(0, at + 1).join(":")}` }, name);
    return [at > 0 && h("span", { "aria-hidden": "true" }, " : "), shown];
  });
}

// What the workspace's own object says: nobody shows the one of the workspace to begin with.
function factsOf(workspace) {
  if (!workspace) return "";
  const { type, cluster } = workspace.spec;
  const facts = [type && `type ${type.path}:${type.name}`, cluster && `logical cluster ${cluster}`];
  return [...facts.filter(Boolean), `${age(workspace.metadata.creationTimestamp)} old`].join(" · ");
}

function phaseAndType({ spec, status }) {
  return { phase: status?.phase ?? "Scheduling", type: spec.type ? `${spec.type.path}:${spec.type.name}` : "" };
}

function childRow({ key, name, phase, type }) {
  return h("li", {}, h("a", { href: `#/${key}` }, name), badge(phase, "Ready"), h("span", { class: "caption" }, type));
}
