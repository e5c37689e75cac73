// Lists whose rows come, change and go while somebody is about to click on one.

import { h, replace } from "./dom.js";

/** Rows by the `key` of their facts: each is made anew only where its facts are others than before. */
export class Rows {
  #list;
  #make;
  #known = new Map();

  constructor(list, make) {
    this.#list = list;
    this.#make = make;
  }

  /** Show these, in this order. Facts are plain data. */
  show(facts) {
    const before = this.#known;
    this.#known = new Map();
    for (const fact of facts) {
      const text = JSON.stringify(fact);
      const known = before.get(fact.key);
      this.#known.set(fact.key, known?.text === text ? known : { text, element: this.#make(fact) });
    }
    replace(
      this.#list,
      [...this.#known.values()].map(({ element }) => element),
    );
  }
}

/** A titled part of the page with a list of rows; hidden as long as there are none. */
export class Section {
  #rows;
  element;

  constructor(title, text, make) {
    const list = h("ul", { class: "rows" });
    this.#rows = new Rows(list, make);
    this.element = h("section", { hidden: true }, h("h2", {}, title), h("p", { class: "caption" }, text), list);
  }

  show(facts) {
    this.element.hidden = !facts.length;
    this.#rows.show(facts);
  }
}

/** A phase as a coloured word. */
export function badge(phase, good) {
  return h("span", { class: "badge", "data-state": phase === good ? "good" : "waiting" }, phase);
}
