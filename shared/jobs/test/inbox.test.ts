import { expect, test } from "vitest";
import { Inbox, type Waiting } from "../src/inbox.ts";

function message(...ids: string[]): Waiting & { readonly fate: string[] } {
  const fate: string[] = [];
  const delivery = { ack: () => void fate.push("ack"), requeue: () => void fate.push("requeue") };
  return { delivery, queue: "q", ids, asked: 0, since: 0, fate };
}

test("a message is acked when each of its jobs has an answer, and not before", () => {
  const inbox = new Inbox();
  const bundle = message("a", "b", "c");
  inbox.put(bundle);
  const first = inbox.draw(2);
  expect(first.ids).toEqual(["a", "b"]);
  inbox.answered(first);
  expect(bundle.fate).toEqual([]);
  const second = inbox.draw(2);
  expect(second.ids).toEqual(["c"]);
  inbox.answered(second);
  expect(bundle.fate).toEqual(["ack"]);
  expect([inbox.messages, inbox.unasked]).toEqual([0, 0]);
});

test("older messages go first, and a draft takes from several", () => {
  const inbox = new Inbox();
  const [one, two] = [message("a"), message("b", "c")];
  inbox.put(one);
  inbox.put(two);
  inbox.answered(inbox.draw(2));
  expect([one.fate, two.fate]).toEqual([["ack"], []]);
  expect(inbox.draw(5).ids).toEqual(["c"]);
});

test("an id named by two messages is asked for once, and both are acked", () => {
  const inbox = new Inbox();
  const [one, two] = [message("a"), message("a")];
  inbox.put(one);
  inbox.put(two);
  const draft = inbox.draw(5);
  expect(draft.ids).toEqual(["a"]);
  inbox.answered(draft);
  expect([one.fate, two.fate]).toEqual([["ack"], ["ack"]]);
});

test("ids without an answer wait again, in front and in order", () => {
  const inbox = new Inbox();
  inbox.put(message("a", "b"));
  inbox.put(message("c"));
  const draft = inbox.draw(3);
  inbox.put(message("d"));
  inbox.unanswered(draft);
  expect(inbox.draw(9).ids).toEqual(["a", "b", "c", "d"]);
});

test("at quiet what was not asked for goes back, what was asked for is acked by its answer", () => {
  const inbox = new Inbox();
  const [asked, waiting] = [message("a"), message("b", "c")];
  inbox.put(asked);
  inbox.put(waiting);
  const draft = inbox.draw(2);
  expect(inbox.handBack()).toBe(1);
  inbox.answered(draft);
  expect([asked.fate, waiting.fate]).toEqual([["ack"], ["requeue"]]);
});

test("a claim that fails after quiet leaves its message to the broker", () => {
  const inbox = new Inbox();
  const waiting = message("a", "b");
  inbox.put(waiting);
  const draft = inbox.draw(1);
  inbox.handBack();
  inbox.unanswered(draft);
  expect(inbox.isEmpty).toBe(true);
  expect(waiting.fate).toEqual(["requeue"]);
});

test("only bundles that have waited too long are taken out for splitting", () => {
  const inbox = new Inbox();
  const [old, young, single] = [message("a", "b"), { ...message("c", "d"), since: 50 }, message("e")];
  for (const one of [old, young, single]) inbox.put(one);
  expect(inbox.takeStale(10)).toEqual([old]);
  inbox.split(old, true);
  expect(old.fate).toEqual(["ack"]);
  expect(inbox.draw(9).ids).toEqual(["c", "d", "e"]);
});

test("a bundle that could not be split waits again", () => {
  const inbox = new Inbox();
  const old = message("a", "b");
  inbox.put(old);
  inbox.draw(1);
  const [taken] = inbox.takeStale(10);
  expect(taken).toBeUndefined();
  expect(inbox.draw(9).ids).toEqual(["b"]);
});
