// Signing in, and the frame around everything else. The address after # is the workspace that is shown.

import { Session } from "./api.js";
import { h, replace, say } from "./dom.js";
import { Panel } from "./objects.js";
import { Tree } from "./tree.js";
import { WorkspaceView } from "./workspace.js";

const TOKEN = "kcpcache.token"; // in sessionStorage: for this tab, and gone with it
const START = "kcpcache.start";
const app = document.getElementById("app");
let leave = () => {};

function signIn(message = "") {
  leave();
  leave = () => {};
  const token = h("input", { type: "password", autocomplete: "off", spellcheck: "false", id: "token" });
  const start = h("input", {
    type: "text",
    id: "start",
    value: sessionStorage.getItem(START) ?? "root",
    spellcheck: "false",
  });
  const alert = h("p", { class: "notice", role: "alert", hidden: !message }, message);
  const withToken = h("button", { type: "submit", class: "primary" }, "Sign in");
  const withCertificate = h("button", { type: "button", onclick: () => enter("") }, "Use my browser's certificate");
  const form = h(
    "form",
    { class: "sign-in", "aria-label": "Sign in" },
    h("img", { src: "dashboard/icon.svg", alt: "", width: "48", height: "48" }),
    h("h1", {}, "kcpcache"),
    h("p", { class: "caption" }, "See what workspaces share: from the provider over the cache to every consumer."),
    alert,
    h("label", { for: "token" }, "Bearer token"),
    token,
    h("label", { for: "start" }, "Workspace to begin with"),
    start,
    withToken,
    withCertificate,
    h("p", { class: "caption" }, "The token stays in this tab and goes to this server only."),
  );

  async function enter(text) {
    withToken.disabled = withCertificate.disabled = true;
    try {
      const root = start.value.trim() || "root";
      const user = await whoAmI(text, root);
      sessionStorage.setItem(TOKEN, text);
      sessionStorage.setItem(START, root);
      show(text, root, user);
    } catch (error) {
      alert.hidden = false;
      say(alert, error.message);
      withToken.disabled = withCertificate.disabled = false;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (token.value.trim()) enter(token.value.trim());
    else token.focus();
  });
  replace(app, h("main", { id: "main", class: "center" }, form));
  token.focus();
}

async function whoAmI(token, root) {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const path = `/clusters/${encodeURIComponent(root)}/apis/authentication.k8s.io/v1/selfsubjectreviews`;
  try {
    const { status } = await new Session(token).post(path, review);
    return status.userInfo.username;
  } catch (error) {
    if (error.code === 401) throw new Error("The server does not know this token.");
    if (error.code === 403)
      throw new Error(
        token
          ? "You may not enter this workspace."
          : "The server does not know you: your browser showed no certificate that it accepts, or you may not enter this workspace.",
      );
    throw error;
  }
}

function show(token, root, user) {
  leave();
  const session = new Session(token, () => signOut("You have been signed out: the token is no longer valid."));
  const panel = new Panel();
  const main = h("main", { id: "main", tabindex: "-1" });
  const lost = h(
    "p",
    { class: "notice lost", role: "alert", hidden: true },
    "The server does not answer. What is shown may be out of date; it goes on by itself.",
  );
  session.onReach = (reachable) => (lost.hidden = reachable);
  const tree = new Tree(session, root, (path) => (location.hash = `#/${path}`));
  const header = h(
    "header",
    { class: "top" },
    h(
      "a",
      { class: "brand", href: `#/${root}` },
      h("img", { src: "dashboard/icon.svg", alt: "", width: "24", height: "24" }),
      "kcpcache",
    ),
    h("span", { class: "user", title: "You" }, user),
    h("button", { type: "button", class: "quiet", onclick: () => signOut() }, "Sign out"),
  );
  let view = null;

  function route() {
    const path = location.hash.replace(/^#\/?/, "") || root;
    if (!/^[a-z0-9][-a-z0-9:]*$/.test(path)) {
      location.replace(`#/${root}`);
      return;
    }
    tree.select(path, { tell: false });
    view?.stop();
    panel.close();
    view = new WorkspaceView(session, panel, tree, path);
    tree.onChange = () => view.refresh();
    replace(main, view.element);
    document.title = `${path} · kcpcache`;
  }

  addEventListener("hashchange", route);
  leave = () => {
    removeEventListener("hashchange", route);
    view?.stop();
    panel.close();
    tree.stop();
  };
  replace(
    app,
    header,
    lost,
    h("div", { class: "columns" }, h("nav", { "aria-label": "Workspaces" }, tree.element), main, panel.element),
  );
  route();
}

function signOut(message = "") {
  sessionStorage.removeItem(TOKEN);
  signIn(message);
}

async function begin() {
  const token = sessionStorage.getItem(TOKEN);
  const root = sessionStorage.getItem(START) ?? "root";
  if (token === null) return signIn();
  try {
    show(token, root, await whoAmI(token, root));
  } catch (error) {
    signOut(error.message);
  }
}

begin();
