// One CachedResource: the flow from provider over the cache to the consumers, its conditions, and the lag.

import { Collection, resourcePath } from "./api.js";
import { coalesced, h, plural, say } from "./dom.js";
import { LagMeter, LagPlot } from "./lag.js";
import { showObjects } from "./objects.js";
import { Rows } from "./rows.js";

const MOST_NAMED = 12;

/** A card that stays current. See `WorkspaceView` for the context; `exports` knows who the consumers are. */
export class CachedResourceCard {
  #context;
  #exports;
  #object;
  #originals = null;
  #copies = null;
  #watched = "";
  #meter = new LagMeter();
  #plot = new LagPlot(this.#meter);
  #draw = coalesced(() => this.draw());
  #drawPlot = coalesced(() => this.#plot.draw());
  #title = h("h3");
  #phase = h("span", { class: "badge" });
  #what = h("p", { class: "caption" });
  #provider = new Station("Provider", "originals that match", () => this.#openOriginals());
  #cache = new Station("Cache", "copies, each stored once", () => this.#openCopies());
  #consumers = new Station("Consumers", "workspaces read them", () => this.#openConsumers());
  #pipes = [h("div", { class: "pipe" }, h("span")), h("div", { class: "pipe" }, h("span"))];
  #nameList = h("ul", { class: "names", "aria-label": "Consumers" });
  #named = new Rows(this.#nameList, consumer);
  #conditionList = h("ul", { class: "conditions", "aria-label": "Conditions" });
  #conditions = new Rows(this.#conditionList, condition);
  element = h(
    "article",
    { class: "card" },
    h("header", {}, this.#title, this.#phase),
    this.#what,
    h(
      "div",
      { class: "flow" },
      this.#provider.element,
      this.#pipes[0],
      this.#cache.element,
      this.#pipes[1],
      this.#consumers.element,
    ),
    this.#nameList,
    this.#conditionList,
    this.#plot.element,
  );

  constructor(context, exports, object) {
    this.#context = context;
    this.#exports = exports;
    this.update(object);
  }

  update(object) {
    this.#object = object;
    this.#draw();
  }

  tick() {
    this.#plot.draw();
  }

  stop() {
    this.#originals?.stop();
    this.#copies?.stop();
  }

  draw() {
    const { metadata, spec, status = {} } = this.#object;
    const { local = 0, cache = 0 } = status.resourceCounts ?? {};
    const consumers = this.#exports.consumersOf(metadata.name);
    const phase = metadata.deletionTimestamp ? "Deleting" : (status.phase ?? "Initializing");
    say(this.#title, metadata.name);
    say(this.#phase, phase);
    this.#phase.dataset.state = phase === "Ready" ? "good" : phase === "Deleting" ? "bad" : "waiting";
    say(
      this.#what,
      `${spec.resource}.${spec.group}/${spec.version ?? ""}${selector(spec.labelSelector)}${identity(status.identityHash)}`,
    );
    this.#provider.show(local, true);
    this.#cache.show(cache, Boolean(this.#copiesPath()));
    this.#consumers.show(
      consumers ? consumers.clusters.length + consumers.more : null,
      Boolean(consumers?.clusters.length),
    );
    this.#pipes[0].dataset.state = local !== cache ? "moving" : phase === "Ready" ? "level" : "idle";
    this.#pipes[1].dataset.state = consumers?.clusters.length ? "level" : "idle";
    this.#named.show(this.#names(consumers ?? { clusters: [], more: 0 }));
    this.#conditions.show((status.conditions ?? []).map(({ type, ...rest }) => ({ key: type, ...rest })));
    this.#follow();
  }

  #openOriginals() {
    const { spec } = this.#object;
    const [title, path] = [`${spec.resource}: originals`, resourcePath(this.#context.path, spec)];
    this.#show(title, path, "in the provider's workspace", { labels: this.#labels() });
  }

  #openCopies() {
    this.#show(`${this.#object.spec.resource}: copies`, this.#copiesPath(), "as consumers see them");
  }

  #openConsumers() {
    const path = this.#exports.bindingsPath(this.#object.metadata.name);
    const cluster = ({ metadata }) => this.#nameOf(metadata.annotations["kcp.io/cluster"]);
    const facts = (binding) => `in ${cluster(binding)} · ${binding.status?.phase ?? "Binding"}`;
    this.#show("Consumers", path, "APIBindings, each in its workspace", { facts });
  }

  #show(title, path, where, options) {
    showObjects(this.#context.panel, this.#context.session, path, title, where, options);
  }

  #names({ clusters, more: unknown }) {
    const names = clusters.map((cluster) => this.#nameOf(cluster)).sort();
    const more = Math.max(names.length - MOST_NAMED, 0) + unknown;
    const rest = more ? [{ key: "…", text: `and ${plural(more, "more workspace")}` }] : [];
    return [
      ...names.slice(0, MOST_NAMED).map((key) => ({ key, text: key, known: Boolean(this.#context.tree.find(key)) })),
      ...rest,
    ];
  }

  #nameOf(cluster) {
    return this.#context.tree.find(cluster)?.path ?? cluster;
  }

  // The path of the copies, as the first consumer sees them; "" as long as there is none.
  #copiesPath() {
    const { spec, metadata } = this.#object;
    const [first] = this.#exports.consumersOf(metadata.name)?.clusters ?? [];
    if (!first || !spec.version) return "";
    return resourcePath(first, spec, `/services/replication/${this.#context.path}/${metadata.name}`);
  }

  #labels() {
    return conditionsOf(this.#object.spec.labelSelector).join(",");
  }

  // Originals and copies are watched side by side, as soon as there is somebody who consumes the copies.
  #follow() {
    const copies = this.#copiesPath();
    const wanted = copies && `${copies} ${this.#labels()}`;
    if (wanted === this.#watched) return;
    this.#watched = wanted;
    this.stop();
    const { session, path } = this.#context;
    if (!copies) return;
    const originals = resourcePath(path, this.#object.spec);
    this.#originals = new Collection(session, originals, {
      labels: this.#labels(),
      onEvent: (type, { metadata }) => this.#original(type, metadata.name),
    });
    this.#copies = new Collection(session, copies, {
      onEvent: (type, { metadata }) => this.#copy(type, metadata.name),
    });
  }

  #original(type, name) {
    this.#meter.original(type, name);
    pulse(this.#pipes[0]);
  }

  #copy(type, name) {
    this.#meter.copy(type, name);
    pulse(this.#pipes[1]);
    this.#drawPlot();
  }
}

// A place of the flow: a number that can be opened.
class Station {
  #count = h("span", { class: "count" }, "–");

  constructor(title, text, open) {
    this.element = h(
      "button",
      { type: "button", class: "station", onclick: open },
      h("span", { class: "title" }, title),
      this.#count,
      h("span", { class: "caption" }, text),
    );
  }

  show(count, canOpen) {
    const text = count === null ? "–" : count.toLocaleString("en");
    if (this.#count.textContent !== text && this.#count.textContent !== "–") flash(this.#count);
    say(this.#count, text);
    this.element.disabled = !canOpen;
  }
}

function consumer({ key, text, known }) {
  return h("li", {}, known ? h("a", { href: `#/${key}` }, text) : text);
}

function condition({ key, status, reason, message }) {
  const good = status === "True";
  const text = good ? "" : [reason, message].filter(Boolean).join(": ");
  return h("li", { "data-state": good ? "good" : "bad" }, h("strong", {}, key), text && h("span", {}, ` ${text}`));
}

function selector(found) {
  const all = conditionsOf(found);
  return all.length ? ` · only ${all.join(" and ")}` : "";
}

// A LabelSelector in the words of a query.
function conditionsOf(found) {
  const phrases = {
    In: (key, values) => `${key} in (${values.join(",")})`,
    NotIn: (key, values) => `${key} notin (${values.join(",")})`,
    Exists: (key) => key,
    DoesNotExist: (key) => `!${key}`,
  };
  const equal = Object.entries(found?.matchLabels ?? {}).map(([name, value]) => `${name}=${value}`);
  return [
    ...equal,
    ...(found?.matchExpressions ?? []).map(
      ({ key, operator, values }) => phrases[operator]?.(key, values ?? []) ?? key,
    ),
  ];
}

function identity(hash) {
  return hash ? ` · identity ${hash.slice(0, 8)}…` : "";
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

function pulse(pipe) {
  const [dot] = pipe.children;
  if (!calm.matches && dot.getAnimations().length < 2) {
    dot.animate(
      [
        { left: "0%", opacity: 0 },
        { opacity: 1, offset: 0.2 },
        { opacity: 1, offset: 0.8 },
        { left: "100%", opacity: 0 },
      ],
      { duration: 600, easing: "ease-in-out" },
    );
  }
}

function flash(element) {
  if (!calm.matches)
    element.animate([{ transform: "scale(1.12)" }, { transform: "none" }], { duration: 250, easing: "ease-out" });
}
