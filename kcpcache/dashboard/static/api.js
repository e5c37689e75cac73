// The Kubernetes API as this page's user sees it: requests, and lists that are kept current by a watch.

const BEARER = "base64url.bearer.authorization.k8s.io.";
const PROTOCOL = "watch.kcpcache"; // chosen by the server, which never chooses the one that is a token
const PAGE = 1000;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15000;
const AT_ONCE = 5;

/** What a server answered instead of what was asked for. */
export class ApiError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Requests as one user: with a token, or (`""`) with the certificate that the browser shows, if it has one. */
export class Session {
  #token;
  #running = 0;
  #waiting = [];
  #onUnauthorized;
  #reachable = true;
  /** Told when the server ceases to answer, and when it answers again. */
  onReach = () => {};

  constructor(token, onUnauthorized = () => {}) {
    this.#token = token;
    this.#onUnauthorized = onUnauthorized;
  }

  async get(path, accept = "application/json") {
    return this.#request(path, { headers: { Accept: accept } });
  }

  async post(path, body) {
    const headers = { Accept: "application/json", "Content-Type": "application/json" };
    return this.#request(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  // WebSocket, since a browser opens no more than six ordinary connections to a server, in all its tabs together.
  socket(path) {
    const url = new URL(path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const protocols = [PROTOCOL];
    if (this.#token)
      protocols.unshift(BEARER + btoa(this.#token).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, ""));
    const socket = new WebSocket(url, protocols);
    socket.addEventListener("open", () => this.#reach(true));
    return socket;
  }

  async #request(path, options) {
    if (this.#token) options.headers.Authorization = `Bearer ${this.#token}`;
    await this.#turn();
    let response, body;
    try {
      response = await fetch(path, { ...options, cache: "no-store", credentials: "same-origin", redirect: "error" }).catch(
        (error) => {
          this.#reach(false);
          throw error;
        },
      );
      this.#reach(true);
      body = await response.json().catch(() => ({}));
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
    if (!response.ok) {
      if (response.status === 401) this.#onUnauthorized();
      throw new ApiError(response.status, body.message || `the server answered ${response.status}`);
    }
    return body;
  }

  #reach(reachable) {
    if (reachable === this.#reachable) return;
    this.#reachable = reachable;
    this.onReach(reachable);
  }

  async #turn() {
    while (this.#running >= AT_ONCE) await new Promise((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
  }
}

/** Which object this is, among all of its resource. */
export function keyOf(object) {
  const { name, namespace = "", annotations = {} } = object.metadata;
  return `${annotations["kcp.io/cluster"] ?? ""}/${namespace}/${name}`;
}

/** A collection, kept current: `items` by key, and `more` that there are beyond the first thousand. */
export class Collection {
  items = new Map();
  more = 0;
  loaded = false;
  error = null;
  #session;
  #path;
  #selection;
  #listeners = [];
  #socket = null;
  #timer = 0;
  #pause = FIRST_PAUSE;
  #version = "";
  #stopped = false;

  /** `onChange()` after every change; `onEvent(type, object)` for each event that is news; `labels` is a selector. */
  constructor(session, path, { onChange = () => {}, onEvent = () => {}, labels = "" } = {}) {
    this.#session = session;
    this.#path = path;
    this.#selection = labels ? `&labelSelector=${encodeURIComponent(labels)}` : "";
    this.#listeners = [onChange, onEvent];
    this.#load();
  }

  get count() {
    return this.items.size + this.more;
  }

  /** The objects by name, then by workspace. */
  sorted() {
    const order = ({ metadata }) =>
      `${metadata.namespace ?? ""}/${metadata.name} ${metadata.annotations?.["kcp.io/cluster"] ?? ""}`;
    return [...this.items.values()].sort((one, other) => order(one).localeCompare(order(other)));
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    // One that is being opened is closed once it is: else the browser complains.
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket?.close();
  }

  async #load() {
    try {
      const list = await this.#session.get(`${this.#path}?limit=${PAGE}${this.#selection}`);
      if (this.#stopped) return;
      this.items = new Map(
        list.items.map((object) => [
          keyOf(object),
          { apiVersion: list.apiVersion, kind: list.kind.replace(/List$/, ""), ...object },
        ]),
      );
      this.more = list.metadata.remainingItemCount ?? 0;
      this.#version = list.metadata.resourceVersion;
      this.loaded = true;
      this.error = null;
      this.#changed();
      this.#watch();
    } catch (error) {
      if (this.#stopped) return;
      this.error = error;
      this.#changed();
      // What is refused stays refused, mostly; a server that is being started again answers soon.
      if (!(error instanceof ApiError) || error.code >= 429) this.#again(() => this.#load());
    }
  }

  #watch() {
    const query = `watch=true&allowWatchBookmarks=true&resourceVersion=${encodeURIComponent(this.#version)}${this.#selection}`;
    const socket = this.#session.socket(`${this.#path}?${query}`);
    this.#socket = socket;
    socket.onopen = () => (this.#pause = FIRST_PAUSE);
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    // Why a handshake failed is hidden from pages: a list tells.
    let opened = false;
    socket.addEventListener("open", () => (opened = true));
    socket.onclose = () => {
      if (!this.#stopped && this.#socket === socket) this.#again(() => (opened ? this.#watch() : this.#load()));
    };
  }

  #take({ type, object }) {
    if (this.#stopped) return;
    if (type === "ERROR") {
      // Most likely too much has happened since: look at everything again.
      this.#socket.onclose = null;
      this.#socket.close();
      this.#again(() => this.#load());
      return;
    }
    this.#version = object.metadata.resourceVersion;
    if (type === "BOOKMARK") return;
    if (type === "DELETED") this.items.delete(keyOf(object));
    else this.items.set(keyOf(object), object);
    this.#listeners[1](type, object);
    this.#changed();
  }

  #again(step) {
    this.#timer = setTimeout(step, this.#pause * (0.5 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #changed() {
    this.#listeners[0]();
  }
}

/** `/clusters/<workspace>/apis/<group>/<version>/<resource>`; the same below a virtual workspace. */
export function resourcePath(cluster, { group, version, resource }, base = "") {
  const api = group ? `apis/${group}/${version}` : `api/${version}`;
  return `${base}/clusters/${cluster}/${api}/${resource}`;
}

/** All resources that a workspace serves and that can be listed, from its discovery. Throws ApiError. */
export async function discover(session, cluster) {
  const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  const found = [];
  const documents = await Promise.all(
    ["api", "apis"].map((path) => session.get(`/clusters/${cluster}/${path}`, accept)),
  );
  for (const group of documents.flatMap((document) => document.items ?? [])) {
    const preferred = new Set();
    for (const { version, resources = [] } of group.versions ?? []) {
      for (const { resource, responseKind, scope, verbs = [] } of resources) {
        if (!verbs.includes("list") || preferred.has(resource)) continue;
        preferred.add(resource);
        const readOnly = !verbs.includes("create");
        found.push({
          group: group.metadata?.name ?? "",
          version,
          resource,
          kind: responseKind?.kind ?? resource,
          scope,
          readOnly,
        });
      }
    }
  }
  return found;
}
