// One CachedResource: the flow from provider over the cache to the consumers, its conditions, and the lag.

import { Collection, resourcePath } from "./api.js";
import { coalesced, h, plural, replace, say } from "./dom.js";
import { LagMeter, LagPlot } from "./lag.js";
import { showObjects } from "./objects.js";

const MOST_NAMED = 12;

/** A card that stays current. See `WorkspaceView` for its context. */
export class CachedResourceCard {
  #context;
  #object;
  #originals = null;
  #copies = null;
  #watched = "";
  #meter = new LagMeter();
  #plot = new LagPlot(this.#meter);
  #draw = coalesced(() => this.draw());
  #title = h("h3");
  #phase = h("span", { class: "badge" });
  #what = h("p", { class: "caption" });
  #provider = new Station("Provider", "originals that match");
  #cache = new Station("Cache", "copies, each stored once");
  #consumers = new Station("Consumers", "workspaces read them");
  #pipes = [h("div", { class: "pipe" }, h("span")), h("div", { class: "pipe" }, h("span"))];
  #named = h("ul", { class: "names", "aria-label": "Consumers" });
  #conditions = h("ul", { class: "conditions", "aria-label": "Conditions" });
  element = h(
    "article",
    { class: "card" },
    h("header", {}, this.#title, this.#phase),
    this.#what,
    h("div", { class: "flow" }, this.#provider.element, this.#pipes[0], this.#cache.element, this.#pipes[1], this.#consumers.element),
    this.#named,
    this.#conditions,
    this.#plot.element,
  );

  constructor(context, object) {
    this.#context = context;
    this.update(object);
    const show = (title, path, where, more) => showObjects(context.panel, context.session, path, title, where, more);
    const resource = () => this.#object.spec.resource;
    this.#provider.onOpen = () => show(`${resource()}: originals`, resourcePath(context.cluster, this.#object.spec), "in the provider's workspace", { labels: this.#labels() });
    this.#cache.onOpen = () => show(`${resource()}: copies`, this.#copiesPath(), "as consumers see them");
    const facts = ({ metadata, status }) => `in ${context.nameOf(metadata.annotations["kcp.io/cluster"])} · ${status?.phase ?? "Binding"}`;
    this.#consumers.onOpen = () => show("Consumers", context.bindingsPath(this.#object.metadata.name), "APIBindings, each in its workspace", { facts });
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
    const consumers = this.#context.consumers(metadata.name);
    const phase = metadata.deletionTimestamp ? "Deleting" : (status.phase ?? "Initializing");
    say(this.#title, metadata.name);
    say(this.#phase, phase);
    this.#phase.dataset.state = phase === "Ready" ? "good" : phase === "Deleting" ? "bad" : "waiting";
    say(this.#what, `${spec.resource}.${spec.group}/${spec.version ?? ""}${selector(spec.labelSelector)}${identity(status.identityHash)}`);
    this.#provider.show(local, true);
    this.#cache.show(cache, Boolean(this.#copiesPath()));
    this.#consumers.show(consumers ? consumers.clusters.length + consumers.more : null, Boolean(consumers?.clusters.length));
    this.#pipes[0].dataset.state = local === cache ? "level" : "moving";
    this.#pipes[1].dataset.state = consumers?.clusters.length ? "level" : "idle";
    replace(this.#named, consumers && this.#names(consumers));
    replace(this.#conditions, (status.conditions ?? []).map(condition));
    this.#follow();
  }

  #names({ clusters, more: unknown }) {
    const paths = clusters.map((cluster) => this.#context.nameOf(cluster)).sort();
    const more = Math.max(paths.length - MOST_NAMED, 0) + unknown;
    return [
      paths.slice(0, MOST_NAMED).map((path) => h("li", {}, path.includes(":") ? h("a", { href: `#/${path}` }, path) : path)),
      more > 0 && h("li", { class: "caption" }, `and ${plural(more, "more workspace", "more workspaces")}`),
    ];
  }

  // The path of the copies, as the first consumer sees them; "" as long as there is none.
  #copiesPath() {
    const { spec, metadata } = this.#object;
    const [first] = this.#context.consumers(metadata.name)?.clusters ?? [];
    if (!first || !spec.version) return "";
    return resourcePath(first, spec, `/services/replication/${this.#context.cluster}/${metadata.name}`);
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
    const { session, cluster } = this.#context;
    if (!copies) return;
    const originals = resourcePath(cluster, this.#object.spec);
    this.#originals = new Collection(session, originals, { labels: this.#labels(), onEvent: (type, { metadata }) => this.#original(type, metadata.name) });
    this.#copies = new Collection(session, copies, { onEvent: (type, { metadata }) => this.#copy(type, metadata.name) });
  }

  #original(type, name) {
    this.#meter.original(type, name);
    pulse(this.#pipes[0]);
  }

  #copy(type, name) {
    this.#meter.copy(type, name);
    pulse(this.#pipes[1]);
    this.#plot.draw();
  }
}

// A place of the flow: a number that can be opened.
class Station {
  #count = h("span", { class: "count" }, "–");
  onOpen = () => {};

  constructor(title, text) {
    this.button = h("button", { type: "button", class: "station", onclick: () => this.onOpen() }, h("span", { class: "title" }, title), this.#count, h("span", { class: "caption" }, text));
    this.element = this.button;
  }

  show(count, canOpen) {
    const text = count === null ? "–" : count.toLocaleString("en");
    if (this.#count.textContent !== text && this.#count.textContent !== "–") flash(this.#count);
    say(this.#count, text);
    this.button.disabled = !canOpen;
  }
}

function condition({ type, status, reason, message }) {
  const good = status === "True";
  const text = good ? "" : [reason, message].filter(Boolean).join(": ");
  return h("li", { "data-state": good ? "good" : "bad" }, h("strong", {}, type), text && h("span", {}, ` ${text}`));
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
  return [...equal, ...(found?.matchExpressions ?? []).map(({ key, operator, values }) => phrases[operator]?.(key, values ?? []) ?? key)];
}

function identity(hash) {
  return hash ? ` · identity ${hash.slice(0, 8)}…` : "";
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

function pulse(pipe) {
  const [dot] = pipe.children;
  if (!calm.matches && dot.getAnimations().length < 2) {
    dot.animate([{ left: "0%", opacity: 0 }, { opacity: 1, offset: 0.2 }, { opacity: 1, offset: 0.8 }, { left: "100%", opacity: 0 }], { duration: 600, easing: "ease-in-out" });
  }
}

function flash(element) {
  if (!calm.matches) element.animate([{ transform: "scale(1.12)" }, { transform: "none" }], { duration: 250, easing: "ease-out" });
}
