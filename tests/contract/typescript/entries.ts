// What an app in TypeScript writes with the types made from the contract: each kind is told apart by the compiler, and
// `never` says when one was forgotten. One line a case, so that the test can leave one out.
import type { components } from "./contract";

type Body = components["schemas"]["Body"];
type Log = components["schemas"]["Log"];
type LogIn = components["schemas"]["LogIn"];
type Push = components["schemas"]["Push"];
type PushResult = components["schemas"]["PushResult"];
type SignIn = components["schemas"]["SignIn"];
type EndpointIn = components["schemas"]["EndpointIn"];

function forgotten(value: never): never {
  throw new Error(JSON.stringify(value));
}

export function line(body: Body): string {
  switch (body.kind) {
    case "mood": return `mood ${body.mood.toFixed()} of 5, ${body.sleep_hours ?? "no"} hours`;
    case "sobriety": return body.sober ? "sober" : (body.uses ?? []).map((use) => use.substance).join(", ");
    case "coping": return `${body.skill}: ${body.urge_before ?? "?"} to ${body.urge_after ?? "?"}`;
    case "note": return body.text;
    case "medication": return `${body.medication} ${body.status}`;
    case "meeting": return `${body.fellowship} for ${body.minutes ?? 0} minutes`;
    case "eating": return `meals: ${body.meals_kept ?? "not told"}`;
    case "functioning": return `at work ${body.work ?? "not told"}`;
    case "withdrawal": return `${body.severity} of 10: ${(body.symptoms ?? []).join(", ")}`;
    case "activity": return body.what;
    case "goal": return `${body.goal}: ${body.progress}`;
    case "safety_plan": return body.sections.map((section) => section.title).join(", ");
    default: return forgotten(body);
  }
}

export function outcome(result: PushResult): string {
  switch (result.outcome) {
    case "applied": return `revision ${result.revision}`;
    case "rejected": return (result.problem?.errors ?? []).map((fault) => fault.pointer).join();
    case "gone": return "deleted elsewhere";
    case "conflict": return result.current?.body ? line(result.current.body) : "";
    case "gap": return "send from the start";
    case "rewound": return "restored from a backup";
    default: return forgotten(result.outcome);
  }
}

export function method(sign: SignIn): string {
  switch (sign.method) {
    case "invite": return sign.device.zone;
    case "code": return sign.code;
    default: return forgotten(sign);
  }
}

export function channel(endpoint: EndpointIn): string {
  switch (endpoint.channel) {
    case "email": return endpoint.address;
    case "webhook": return endpoint.url;
    default: return forgotten(endpoint);
  }
}

// An entry's body is null once it is deleted: the compiler asks.
export const shown = (log: Log): string => (log.body === null ? "deleted" : line(log.body));

// What may be missing may be left out.
const entry: LogIn = { at: "2026-03-02T08:00:00-05:00", zone: "America/New_York", source: "app", body: { kind: "mood", mood: 4 } };
const op = { n: 1, op: "01950010-0000-7000-8000-000000000010", id: "01950004-0000-7000-8000-000000000004", base: 0 };
export const push: Push = {
  device: "01950011-0000-7000-8000-000000000011",
  sent_at: "2026-03-02T13:00:04Z",
  ops: [{ ...op, log: entry }, { ...op, n: 2, log: null }],
};

// What the contract refuses, the compiler refuses.
// @ts-expect-error: the field of another kind
export const wrongField: Body = { kind: "note", text: "Quiet day", mood: 4 };
// @ts-expect-error: a word that is not on the list
export const wrongWord: Body = { kind: "meeting", fellowship: "The Club" };
// @ts-expect-error: a kind that there is not
export const wrongKind: Body = { kind: "weight" };
// @ts-expect-error: an operation says what it stores, or null
export const wrongOp: Push = { ...push, ops: [op] };
