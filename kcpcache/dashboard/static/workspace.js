// Everything about one workspace: its CachedResources, what it exports and binds, and all that can be listed in it.

import { CachedResourceCard } from "./cached.js";
import { Collection, discover, resourcePath } from "./api.js";
import { age, coalesced, h, plural, replace, say } from "./dom.js";
import { showObjects } from "./objects.js";

const CACHED_RESOURCES = { group: "cache.kcp.io", version: "v1alpha1", resource: "cachedresources" };
const SLICES = { group: "cache.kcp.io", version: "v1alpha1", resource: "cachedresourceendpointslices" };
const EXPORTS = { group: "apis.kcp.io", version: "v1alpha2", resource: "apiexports" };
const BINDINGS = { group: "apis.kcp.io", version: "v1alpha2", resource: "apibindings" };

export class WorkspaceView {
  element = h("div", { class: "workspace" });
  #session;
  #panel;
  #path;
  #tree;
  #collections = [];
  #cards = new Map();
  #consumers = new Map(); // APIExport → the Collection of the APIBindings to it
  #counts = new Map(); // bound resource → the Collection of its objects
  #timer;
  #stopped = false;
  #facts = h("p", { class: "caption" });
  #cardList = h("div", { class: "cards" });
  #cachedSection = section("Cached resources", "What this workspace shares: copied once, read by every consumer.", this.#cardList);
  #childList = h("ul", { class: "rows" });
  #childSection = section("Workspaces", "Below this one, as far as you may enter them.", this.#childList);
  #exportList = h("ul", { class: "rows" });
  #exportSection = section("Exports", "APIs that other workspaces can bind.", this.#exportList);
  #bindingList = h("ul", { class: "rows" });
  #bindingSection = section("Bindings", "APIs that this workspace has from others.", this.#bindingList);
  #resourceList = h("div", { class: "groups" });
  #resourceSection = h("details", {}, h("summary", {}, h("h2", {}, "All resources")), this.#resourceList);
  #draw = coalesced(() => this.#refresh());

  constructor(session, panel, tree, path) {
    this.#session = session;
    this.#panel = panel;
    this.#tree = tree;
    this.#path = path;
    const crumbs = path.split(":").map((name, at, all) => [at > 0 && h("span", { "aria-hidden": "true" }, " : "), at === all.length - 1 ? name : h("a", { href: `#/${all.slice(0, at + 1).join(":")}` }, name)]);
    replace(this.element, h("h1", { tabindex: "-1" }, crumbs), this.#facts, h("p", { class: "caption loading" }, "Loading …"));
    this.#load();
    this.#timer = setInterval(() => this.#tick(), 1000);
  }

  stop() {
    this.#stopped = true;
    clearInterval(this.#timer);
    for (const collection of [...this.#collections, ...this.#consumers.values(), ...this.#counts.values()]) collection.stop();
    for (const card of this.#cards.values()) card.stop();
  }

  async #load() {
    let resources;
    try {
      resources = await discover(this.#session, this.#path);
    } catch (error) {
      if (!this.#stopped) replace(this.element, h("h1", {}, this.#path), h("p", { class: "notice", role: "alert" }, error.code === 403 || error.code === 404 ? "There is no such workspace, or you may not enter it." : error.message));
      return;
    }
    if (this.#stopped) return;
    this.#resources = resources;
    [this.#cached, this.#slices, this.#exports, this.#bindings] = [CACHED_RESOURCES, SLICES, EXPORTS, BINDINGS].map((one) => (this.#serves(one) ? this.#keep(one) : null));
    replace(this.element, this.element.firstChild, this.#facts, this.#cachedSection, this.#childSection, this.#exportSection, this.#bindingSection, this.#resourceSection);
    this.#listResources();
    this.#draw();
  }

  #cached = null;
  #slices = null;
  #exports = null;
  #bindings = null;
  #resources = [];

  // The resource as discovery describes it; undefined where it is not served.
  #serves({ group, resource }) {
    return this.#resources.find((one) => one.group === group && one.resource === resource);
  }

  #keep(resource) {
    const found = new Collection(this.#session, resourcePath(this.#path, resource), { onChange: () => this.#draw() });
    this.#collections.push(found);
    return found;
  }

  #refresh() {
    if (this.#stopped) return;
    this.#sayFacts();
    this.#refreshChildren();
    this.#refreshExports();
    this.#refreshCards();
    this.#refreshBindings();
  }

  #sayFacts() {
    const object = this.#tree.find(this.#path)?.object;
    const type = object?.spec?.type;
    const facts = [type && `type ${type.path}:${type.name}`, object?.spec?.cluster && `logical cluster ${object.spec.cluster}`, object && `${age(object.metadata.creationTimestamp)} old`];
    say(this.#facts, facts.filter(Boolean).join(" · ") || "The root of all workspaces");
  }

  /** The tree has changed. */
  refresh() {
    this.#draw();
  }

  #refreshChildren() {
    const children = this.#tree.find(this.#path)?.children ?? [];
    this.#childSection.hidden = !children.length;
    replace(this.#childList, children.map(({ path, name, object }) => {
      const phase = object.status?.phase ?? "Scheduling";
      const type = object.spec.type ? `${object.spec.type.path}:${object.spec.type.name}` : "";
      return h("li", {}, h("a", { href: `#/${path}` }, name), h("span", { class: "badge", "data-state": phase === "Ready" ? "good" : "waiting" }, phase), h("span", { class: "caption" }, `${type} · ${age(object.metadata.creationTimestamp)} old`));
    }));
  }

  // -- what is shared

  #refreshCards() {
    const objects = sorted(this.#cached);
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
      else this.#cards.set(name, this.#newCard(object));
    }
    this.#cachedSection.hidden = !objects.length;
    replace(this.#cardList, objects.map(({ metadata }) => this.#cards.get(metadata.name).element));
  }

  // What a card needs: the workspace's path as `cluster`, who consumes, where their bindings are, and names for clusters.
  #newCard(object) {
    const context = {
      session: this.#session,
      panel: this.#panel,
      cluster: this.#path,
      consumers: (name) => this.#consumersOf(name),
      bindingsPath: (name) => this.#bindingsPath(this.#exportsOf(name)[0].metadata.name),
      nameOf: (cluster) => this.#tree.find(cluster)?.path ?? cluster,
    };
    return new CachedResourceCard(context, object);
  }

  // The APIExports through which a CachedResource is offered, by way of its endpoint slices.
  #exportsOf(cachedResource) {
    const slices = new Set(sorted(this.#slices).filter(({ spec }) => spec.cachedResource?.name === cachedResource).map(({ metadata }) => metadata.name));
    return sorted(this.#exports).filter(({ spec }) => (spec.resources ?? []).some(({ storage }) => slices.has(storage?.virtual?.reference?.name)));
  }

  #bindingsPath(name) {
    return `/services/apiexport/${this.#path}/${name}/clusters/*/apis/apis.kcp.io/v1alpha2/apibindings`;
  }

  // The logical clusters that bind an export of the CachedResource, and how many more; null where this user may not know.
  #consumersOf(cachedResource) {
    const exports = this.#exportsOf(cachedResource);
    if (!exports.length) return { clusters: [], more: 0 };
    const lists = exports.map(({ metadata }) => this.#consumers.get(metadata.name)).filter((list) => list?.loaded);
    if (!lists.length) return null;
    const clusters = lists.flatMap((list) => list.sorted()).filter(({ status }) => status?.phase === "Bound").map(({ metadata }) => metadata.annotations["kcp.io/cluster"]);
    return { clusters: [...new Set(clusters)].sort(), more: lists.reduce((sum, list) => sum + list.more, 0) };
  }

  // -- exports

  #refreshExports() {
    const objects = sorted(this.#exports).filter(({ metadata }) => !isOwn(metadata.name));
    const live = new Set(objects.map(({ metadata }) => metadata.name));
    for (const [name, list] of this.#consumers) {
      if (live.has(name)) continue;
      list.stop();
      this.#consumers.delete(name);
    }
    for (const { metadata } of objects) {
      if (this.#consumers.has(metadata.name)) continue;
      this.#consumers.set(metadata.name, new Collection(this.#session, this.#bindingsPath(metadata.name), { onChange: () => this.#draw() }));
    }
    this.#exportSection.hidden = !objects.length;
    replace(this.#exportList, objects.map((object) => this.#exportRow(object)));
  }

  #exportRow({ metadata, spec }) {
    const list = this.#consumers.get(metadata.name);
    const resources = (spec.resources ?? []).map(({ name, storage }) => h("span", { class: "tag" }, name, storage?.virtual && h("em", {}, " cached")));
    const bound = list?.loaded ? plural(list.count, "binding") : "";
    return h("li", {}, h("button", { type: "button", class: "link", onclick: () => this.#show(EXPORTS) }, metadata.name), h("span", { class: "tags" }, resources), h("span", { class: "caption" }, bound));
  }

  // -- bindings

  #refreshBindings() {
    const objects = sorted(this.#bindings).filter(({ spec }) => !isOwn(spec.reference?.export?.name ?? ""));
    this.#bindingSection.hidden = !objects.length;
    const wanted = new Map(objects.flatMap((object) => (object.status?.boundResources ?? []).map((bound) => [`${bound.resource}.${bound.group}`, bound])));
    for (const [name, list] of this.#counts) {
      if (wanted.has(name)) continue;
      list.stop();
      this.#counts.delete(name);
    }
    for (const [name, bound] of wanted) {
      const served = this.#serves(bound);
      if (served && !this.#counts.has(name)) this.#counts.set(name, new Collection(this.#session, resourcePath(this.#path, served), { onChange: () => this.#draw() }));
      if (!served) this.#discoverAgain();
    }
    replace(this.#bindingList, objects.map((object) => this.#bindingRow(object)));
  }

  #bindingRow({ metadata, spec, status = {} }) {
    const { path = "", name = "" } = spec.reference?.export ?? {};
    const from = this.#tree.find(path) ? h("a", { href: `#/${path}` }, path) : path;
    const bound = (status.boundResources ?? []).map((one) => this.#boundButton(one));
    const phase = h("span", { class: "badge", "data-state": status.phase === "Bound" ? "good" : "waiting" }, status.phase ?? "Binding");
    return h("li", {}, h("strong", {}, metadata.name), phase, h("span", { class: "caption" }, "from ", from, ` : ${name}`), h("span", { class: "tags" }, bound));
  }

  #boundButton({ group, resource }) {
    const served = this.#serves({ group, resource });
    const list = this.#counts.get(`${resource}.${group}`);
    const count = list?.loaded ? ` ${list.count.toLocaleString("en")}` : "";
    return h("button", { type: "button", class: "tag", disabled: !served, onclick: () => this.#show(served) }, resource, h("b", {}, count), served?.readOnly && h("em", {}, " read-only"));
  }

  // -- all resources

  #lastDiscovery = Date.now();

  // Something is bound that was not served when the page looked: look again, now and then.
  async #discoverAgain() {
    if (Date.now() - this.#lastDiscovery < 1000) return;
    this.#lastDiscovery = Date.now();
    const resources = await discover(this.#session, this.#path).catch(() => null);
    if (!resources || this.#stopped) return;
    this.#resources = resources;
    this.#listResources();
    this.#draw();
  }

  #listResources() {
    const groups = grouped(this.#resources);
    replace(
      this.#resourceList,
      [...groups].sort(([one], [other]) => one.localeCompare(other)).map(([group, resources]) =>
        h("div", {}, h("h3", {}, group || "core"), h("div", { class: "tags" }, resources.map((found) => h("button", { type: "button", class: "tag", onclick: () => this.#show(found) }, found.resource)))),
      ),
    );
  }

  #show(resource) {
    showObjects(this.#panel, this.#session, resourcePath(this.#path, resource), resource.resource, `in ${this.#path}`);
  }

  #tick() {
    for (const card of this.#cards.values()) card.tick();
    const bound = sorted(this.#bindings).flatMap(({ status }) => status?.boundResources ?? []);
    if (bound.some((one) => !this.#serves(one))) this.#discoverAgain();
  }
}

function sorted(collection) {
  return collection ? collection.sorted() : [];
}

// The APIs of kcp itself, which every workspace has.
function isOwn(name) {
  return name.endsWith(".kcp.io");
}

function section(title, text, content) {
  return h("section", { hidden: true }, h("h2", {}, title), h("p", { class: "caption" }, text), content);
}

function grouped(resources) {
  const found = new Map();
  for (const one of resources) found.set(one.group, [...(found.get(one.group) ?? []), one]);
  return found;
}
