// A collection as a table, and one object of it as YAML in a panel at the side; both stay current.

import { Collection, keyOf } from "./api.js";
import { age, coalesced, h, plural, replace, say } from "./dom.js";
import { toYaml } from "./yaml.js";

const MOST_ROWS = 500;
const MOST_FACTS = 4;

/** The panel at the side. There is one; `open` gives it another content, Escape and its button close it. */
export class Panel {
  #title = h("h2", { tabindex: "-1" });
  #note = h("p", { class: "caption" });
  #back = h("button", { type: "button", class: "quiet back", hidden: true, onclick: () => this.#onBack?.() }, "‹ Back");
  #content = h("div", { class: "panel-content" });
  #onBack = null;
  #stop = null;
  #from = null;
  element = h(
    "aside",
    { class: "panel", hidden: true, "aria-label": "Objects" },
    h(
      "header",
      {},
      this.#back,
      this.#title,
      h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => this.close() }, "✕"),
    ),
    this.#note,
    this.#content,
  );

  constructor() {
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.element.hidden) this.close();
    });
  }

  /** Open with something new; `stop()` is called when something else comes, or at the close. */
  open(title, note, content, stop) {
    this.#stop?.();
    this.#stop = stop;
    if (this.element.hidden) this.#from = document.activeElement;
    this.element.hidden = false;
    this.turn(title, note, content);
  }

  /** Another page of the same. */
  turn(title, note, content, back = null) {
    this.#onBack = back;
    this.#back.hidden = !back;
    say(this.#title, title);
    this.note(note);
    replace(this.#content, content);
    this.#title.focus();
  }

  note(text) {
    say(this.#note, text);
  }

  close() {
    this.#stop?.();
    this.#stop = null;
    this.element.hidden = true;
    this.#from?.focus?.();
  }
}

/** Show a collection in the panel. `where` says in words what it is; `facts(object)` what to say of each. */
export function showObjects(panel, session, path, title, where, { labels = "", facts: factsOf = summary } = {}) {
  const filter = h("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter by name" });
  const body = h("tbody");
  const table = h(
    "table",
    {},
    h("thead", {}, h("tr", {}, h("th", {}, "Name"), h("th", {}, "What it says"), h("th", {}, "Age"))),
    body,
  );
  const empty = h("p", { class: "caption" });
  const rows = new Map();
  let open = null;

  const draw = coalesced(() => {
    const wanted = filter.value.trim().toLowerCase();
    const matching = objects.sorted().filter(({ metadata }) => metadata.name.includes(wanted));
    const live = new Set();
    const shown = matching.slice(0, MOST_ROWS).map((object) => {
      const key = keyOf(object);
      live.add(key);
      const row = rows.get(key) ?? newRow(key);
      rows.set(key, row);
      return row.update(object);
    });
    for (const key of rows.keys()) if (!live.has(key)) rows.delete(key);
    replace(body, shown);
    table.hidden = !shown.length;
    say(
      empty,
      objects.error ? objects.error.message : !objects.loaded ? "Loading …" : shown.length ? "" : "There is none.",
    );
    if (!open) panel.note(note());
    open?.();
  });

  function note() {
    const hidden = objects.count - Math.min(objects.items.size, MOST_ROWS);
    return `${where} · ${plural(objects.count, "object")}${hidden > 0 ? `, the first ${MOST_ROWS} shown` : ""}`;
  }

  function newRow(key) {
    const name = h("button", { type: "button", class: "link", onclick: () => showOne(key) });
    const facts = h("td", { class: "facts" });
    const old = h("td", { class: "age" });
    const element = h("tr", {}, h("td", {}, name), facts, old);
    return {
      update(object) {
        const { name: text, namespace, creationTimestamp } = object.metadata;
        say(name, namespace ? `${namespace}/${text}` : text);
        say(facts, factsOf(object));
        say(old, age(creationTimestamp));
        return element;
      },
    };
  }

  function showOne(key) {
    const text = h("pre", { class: "yaml", tabindex: "0" });
    const bookkeeping = h("input", { type: "checkbox", onchange: () => open() });
    const { name } = objects.items.get(key).metadata;
    open = () => {
      const object = objects.items.get(key);
      text.classList.toggle("gone", !object);
      if (object) say(text, toYaml(object, { bookkeeping: bookkeeping.checked }));
      panel.note(
        object
          ? `${where} · resourceVersion ${object.metadata.resourceVersion}`
          : `${where} · deleted; this was its last state`,
      );
    };
    panel.turn(
      name,
      "",
      [h("label", { class: "check" }, bookkeeping, "with managed fields and the last applied configuration"), text],
      () => {
        open = null;
        panel.turn(title, "", list);
        draw();
      },
    );
    open();
  }

  filter.addEventListener("input", draw);
  const list = [filter, empty, table];
  const objects = new Collection(session, path, { onChange: draw, labels });
  panel.open(title, "", list, () => objects.stop());
  draw();
}

// The first simple fields of the spec (or data), as a reader would name the object's point.
function summary(object) {
  const source = object.spec ?? object.data ?? object.rules ?? object.roleRef ?? {};
  const facts = Object.entries(source).filter(([, value]) => value !== null && typeof value !== "object");
  return facts
    .slice(0, MOST_FACTS)
    .map(([name, value]) => `${name}: ${String(value).slice(0, 60)}`)
    .join(" · ");
}
