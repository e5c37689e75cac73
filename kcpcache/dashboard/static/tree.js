// The tree of workspaces, as far as this user may enter them; each level is kept current while it is open.

import { ApiError, Collection } from "./api.js";
import { coalesced, h, replace, say } from "./dom.js";

const ASK_AGAIN = 60 * 1000;
const WORKSPACES = "apis/tenancy.kcp.io/v1alpha1/workspaces";

export class Tree {
  onChange = () => {};
  element = h("div", { role: "tree", "aria-label": "Workspaces", class: "tree" });
  #session;
  #onSelect;
  #selected = "";
  #top;
  #known = new Map();

  constructor(session, root, onSelect) {
    this.#session = session;
    this.#onSelect = onSelect;
    this.#top = new Branch(this, root, root, null);
    this.element.append(this.#top.element);
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.#top.open();
  }

  get session() {
    return this.#session;
  }

  /** A workspace by its path or by its logical cluster's name; undefined for what this user has not been shown. */
  find(pathOrCluster) {
    return this.#known.get(pathOrCluster);
  }

  remember(node) {
    this.#known.set(node.path, node);
    if (node.cluster) this.#known.set(node.cluster, node);
  }

  forget(node) {
    this.#known.delete(node.path);
    this.#known.delete(node.cluster);
  }

  select(path, { tell = true } = {}) {
    const before = this.#known.get(this.#selected);
    this.#selected = path;
    before?.rest();
    for (let at = path.indexOf(":"); at > 0; at = path.indexOf(":", at + 1)) this.#known.get(path.slice(0, at))?.open();
    this.#known.get(path)?.look();
    if (tell) this.#onSelect(path);
  }

  /** Whether the workspace that is shown is this one or below it. */
  leadsTo(path) {
    return `${this.#selected}:`.startsWith(`${path}:`);
  }

  isSelected(path) {
    return path === this.#selected;
  }

  stop() {
    this.#top.stop();
  }

  #key(event) {
    const shown = [...this.element.querySelectorAll("[role=treeitem] > .row")];
    const at = shown.indexOf(document.activeElement);
    if (at < 0) return;
    const node = shown[at].node;
    const moves = {
      ArrowDown: () => shown[at + 1]?.focus(),
      ArrowUp: () => shown[at - 1]?.focus(),
      ArrowRight: () => (node.isOpen ? shown[at + 1]?.focus() : node.open()),
      ArrowLeft: () => (node.isOpen && node.parent ? node.close() : node.parent?.row.focus()),
      Home: () => shown[0].focus(),
      End: () => shown.at(-1).focus(),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  }
}

// One workspace, and what is below it.
class Branch {
  isOpen = false;
  #tree;
  #children = new Map();
  #collection = null;
  #object;
  #mayHaveChildren = true; // as long as it has not been looked at
  #asked = new Map(); // when it was asked which of them this user may enter
  #twisty;
  #label;
  #phase;
  #group;
  #draw = coalesced(() => this.draw());

  constructor(tree, path, name, parent, object = null) {
    this.#tree = tree;
    this.path = path;
    this.name = name;
    this.parent = parent;
    this.#object = object;
    this.#twisty = h("span", { class: "twisty", "aria-hidden": "true", onclick: (event) => this.#toggle(event) }, "▸");
    this.#label = h("span", { class: "name" }, name);
    this.#phase = h("span", { class: "phase" });
    this.row = h(
      "button",
      { type: "button", class: "row", onclick: () => tree.select(path) },
      this.#twisty,
      this.#label,
      this.#phase,
    );
    this.row.node = this;
    this.#group = h("div", { role: "group", hidden: true });
    this.element = h("div", { role: "treeitem" }, this.row, this.#group);
    tree.remember(this);
    this.draw();
  }

  get cluster() {
    return this.#object?.spec?.cluster ?? "";
  }

  get object() {
    return this.#object;
  }

  /** The workspaces below it that are known by now, by name. */
  get children() {
    return [...this.#children.values()].sort((one, other) => one.name.localeCompare(other.name));
  }

  get #canOpen() {
    return this.#collection?.loaded ? this.#children.size > 0 : this.#mayHaveChildren;
  }

  open() {
    if (this.isOpen || !this.#canOpen) return;
    this.isOpen = true;
    this.#collection ??= new Collection(this.#tree.session, `/clusters/${this.path}/${WORKSPACES}`, {
      onChange: () => this.#refresh(),
    });
    this.draw();
  }

  close() {
    this.isOpen = false;
    this.draw();
  }

  /** It is shown: whatever may have come below it by now is shown, too. */
  look() {
    this.#mayHaveChildren = true;
    this.#asked.clear();
    this.open();
    this.#refresh();
    this.draw();
  }

  /** It is no longer shown: where there is nothing below it, that is not watched any more. */
  rest() {
    if (this.parent && !this.#children.size) {
      this.isOpen = false;
      if (this.#collection?.loaded) this.#mayHaveChildren = false;
      this.#collection?.stop();
      this.#collection = null;
    }
    this.draw();
  }

  stop() {
    this.#collection?.stop();
    this.#collection = null;
    for (const child of this.#children.values()) child.stop();
    this.#children.clear();
    this.#tree.forget(this);
  }

  draw() {
    const phase = this.#object?.status?.phase ?? "Ready";
    say(this.#phase, phase === "Ready" ? "" : phase);
    this.row.setAttribute("aria-current", this.#tree.isSelected(this.path) ? "page" : "false");
    this.element.setAttribute("aria-selected", String(this.#tree.isSelected(this.path)));
    if (this.#canOpen) this.element.setAttribute("aria-expanded", String(this.isOpen));
    else this.element.removeAttribute("aria-expanded");
    this.#twisty.classList.toggle("none", !this.#canOpen);
    this.#group.hidden = !this.isOpen;
    const more = this.#collection?.more ?? 0;
    replace(
      this.#group,
      this.children.map((child) => child.element),
      more > 0 && h("p", { class: "caption" }, `and ${more.toLocaleString("en")} more that cannot be shown`),
    );
    this.#tree.onChange();
  }

  #toggle(event) {
    event.stopPropagation();
    if (this.isOpen) this.close();
    else this.open();
  }

  #refresh() {
    if (!this.#collection) return;
    const { items, error } = this.#collection;
    if (error) this.#mayHaveChildren = false;
    const now = new Map([...items.values()].map((object) => [object.metadata.name, object]));
    for (const [name, child] of this.#children) {
      if (now.has(name)) continue;
      child.stop();
      this.#children.delete(name);
    }
    for (const [name, object] of now) {
      const child = this.#children.get(name);
      if (child) child.#update(object);
      else if (object.status?.phase === "Ready") this.#admit(name, object);
    }
    for (const name of this.#asked.keys()) if (!now.has(name)) this.#asked.delete(name);
    this.#draw();
  }

  #update(object) {
    this.#object = object;
    this.#tree.remember(this);
    this.#draw();
  }

  // A workspace that this user may not enter is not shown, though its parent lists it.
  async #admit(name, object) {
    if (Date.now() - this.#asked.get(name) < ASK_AGAIN) return;
    this.#asked.set(name, Date.now());
    const path = `${this.path}:${name}`;
    let hasChildren = false;
    try {
      const found = await this.#tree.session.get(`/clusters/${path}/${WORKSPACES}?limit=1`);
      hasChildren = found.items.length > 0;
    } catch (error) {
      if (!(error instanceof ApiError)) this.#asked.delete(name);
      if (!(error instanceof ApiError) || error.message.includes("access denied")) return;
    }
    if (this.#children.has(name) || !this.#asked.has(name)) return; // it may have gone meanwhile
    const child = new Branch(this.#tree, path, name, this, object);
    child.#mayHaveChildren = hasChildren;
    this.#children.set(name, child);
    if (this.#tree.leadsTo(path)) child.look();
    child.draw();
    this.#draw();
  }
}
