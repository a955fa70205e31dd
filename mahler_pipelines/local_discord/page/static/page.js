"use strict";
// Everything that came over the wire is put on the page by the server's templates or by textContent.

const $ = (id) => document.getElementById(id);
const messages = $("messages");
let user = document.body.dataset.user;
let version = "";

function paint() {
  for (const one of messages.querySelectorAll("[data-colour]")) {
    one.style.setProperty("--bar", one.dataset.colour);
  }
}

function atBottom() {
  return messages.scrollHeight - messages.scrollTop - messages.clientHeight < 80;
}

async function look() {
  const answer = await fetch(`/page/messages?user=${encodeURIComponent(user)}&since=${version}`);
  if (answer.status !== 200) return;
  const follow = version === "" || atBottom();
  version = answer.headers.get("X-Version");
  messages.innerHTML = await answer.text();
  paint();
  if (follow) messages.scrollTop = messages.scrollHeight;
  await offer();
}

async function poll() {
  try {
    await look();
    if ($("said").dataset.gone) say("");
  } catch {
    say("The local Discord does not answer.");
    $("said").dataset.gone = "yes";
  }
  setTimeout(poll, 1000);
}

function say(text) {
  $("said").textContent = text;
  delete $("said").dataset.gone;
}

async function act(path, body, method = "POST") {
  const answer = await fetch(`/control/${path}`, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, user }),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message);
  if (said.modal) open(said);
  await look();
  return said;
}

async function guarded(element, work) {
  element.classList.add("waiting");
  element.disabled = true;
  try {
    say("");
    await work();
  } catch (error) {
    say(error.message);
  } finally {
    element.classList.remove("waiting");
    element.disabled = false;
  }
}

messages.addEventListener("click", (event) => {
  const one = event.target.closest("button");
  if (!one || !one.dataset.message) return;
  const message = one.dataset.message;
  if (one.dataset.customId) {
    guarded(one, () => act("click", { message, custom_id: one.dataset.customId }));
  } else if (one.dataset.emoji) {
    const method = one.dataset.mine === "yes" ? "DELETE" : "POST";
    guarded(one, () => act("react", { message, emoji: one.dataset.emoji }, method));
  }
});

messages.addEventListener("change", (event) => {
  const one = event.target;
  const values = [...(one.selectedOptions || [])].map((option) => option.value).filter(Boolean);
  if (!one.dataset.choice || !values.length) return;
  guarded(one, () => act("click", { message: one.dataset.message, custom_id: one.dataset.choice, values }));
});

// Modals.
function field(wanted, label, description) {
  const shown = document.createElement("label");
  shown.textContent = label;
  if (wanted.required) shown.append(Object.assign(document.createElement("b"), { textContent: " *" }));
  if (description) shown.append(Object.assign(document.createElement("small"), { textContent: description }));
  const kind = wanted.type === 3 ? "select" : wanted.style === 2 ? "textarea" : "input";
  const input = document.createElement(kind);
  for (const option of wanted.options || []) input.append(new Option(option.label, option.value));
  input.name = wanted.custom_id;
  input.required = wanted.required;
  if (kind !== "select") {
    input.placeholder = wanted.placeholder || "";
    input.maxLength = wanted.max_length;
    input.minLength = wanted.min_length;
    input.value = wanted.value || "";
  }
  shown.append(input);
  return shown;
}

function open(interaction) {
  const modal = interaction.modal;
  const dialog = $("modal");
  dialog.querySelector("h2").textContent = modal.title;
  dialog.querySelector(".wrong").textContent = "";
  dialog.dataset.interaction = interaction.id;
  dialog.querySelector(".inputs").replaceChildren(...modal.components.map((part) => {
    if (part.type === 18) return field(part.component, part.label, part.description);
    if (part.type === 1) return field(part.components[0], part.components[0].label);
    return Object.assign(document.createElement("p"), { textContent: part.content });
  }));
  dialog.showModal();
}

$("modal").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const dialog = $("modal");
  const values = Object.fromEntries(new FormData(event.target));
  try {
    await act("submit", { interaction: dialog.dataset.interaction, values });
    dialog.close();
  } catch (error) {
    dialog.querySelector(".wrong").textContent = error.message;
  }
});
$("cancel").addEventListener("click", () => $("modal").close());

// Slash commands. A subcommand is called by its words.
let offered = {};

function flat(command, words = []) {
  const path = [...words, command.name];
  const nested = (command.options || []).filter((option) => option.type <= 2);
  if (nested.length) return nested.flatMap((one) => flat(one, path));
  return [[path.join(" "), command]];
}

async function offer() {
  const commands = (await (await fetch("/page/commands")).json()).flatMap((one) => flat(one));
  const names = commands.map(([name]) => name).join();
  if (names === Object.keys(offered).join()) return;
  offered = Object.fromEntries(commands);
  $("command").replaceChildren(...commands.map(([name, one]) => new Option(`${name} — ${one.description}`, name)));
  choose();
}

function choose() {
  const command = offered[$("command").value];
  $("call").querySelector(".send").disabled = !command;
  $("options").replaceChildren(...((command && command.options) || []).map((option) => {
    const choices = option.type === 5 ? [{ name: "yes", value: "true" }, { name: "no", value: "false" }] : option.choices;
    const input = document.createElement(choices ? "select" : "input");
    if (choices) input.append(new Option(option.name, ""), ...choices.map((one) => new Option(one.name, one.value)));
    else input.placeholder = option.name;
    input.name = option.name;
    input.title = option.description;
    input.required = Boolean(option.required);
    return input;
  }));
}

function typed(option, text) {
  if (option.type === 4 || option.type === 10) return Number(text);
  return option.type === 5 ? text === "true" : text;
}

$("command").addEventListener("change", choose);
$("call").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("command").value;
  const sent = Object.fromEntries(new FormData(event.target));
  const options = {};
  for (const option of (offered[name] && offered[name].options) || []) {
    if (sent[option.name]) options[option.name] = typed(option, sent[option.name]);
  }
  guarded(event.target.querySelector(".send"), () => act("command", { name, options }));
});

$("who").addEventListener("change", (event) => {
  user = event.target.value;
  version = "";
  history.replaceState(null, "", `/?user=${encodeURIComponent(user)}`);
  look();
});

paint();
messages.scrollTop = messages.scrollHeight;
poll();
