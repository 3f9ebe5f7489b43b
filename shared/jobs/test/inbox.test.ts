import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { handle } from "../src/handle.ts";
import { Inbox, type Waiting } from "../src/worker/inbox.ts";
import { createQueueRoom } from "../src/worker/queue-room.ts";
import { createTurns } from "../src/worker/turns.ts";

const openInbox = (weights: Record<string, number> = {}): Inbox => new Inbox(createTurns(weights), createQueueRoom([]));

function message(...ids: string[]): Waiting & { readonly fate: string[] } {
  return messageIn("q", ...ids);
}

function messageIn(queue: string, ...ids: string[]): Waiting & { readonly fate: string[] } {
  const fate: string[] = [];
  const delivery = { ack: () => void fate.push("ack"), requeue: () => void fate.push("requeue") };
  return { delivery, queue, ids, asked: 0, unproved: 0, since: 0, fate };
}

const job = (id: string, queue = "q", durable = true) => ({ id, queue, durable });

test("a message is acked when each of its jobs has an answer, and not before", () => {
  const inbox = openInbox();
  const bundle = message("a", "b", "c");
  inbox.put(bundle);
  const first = inbox.draw(2);
  expect(first.ids).toEqual(["a", "b"]);
  inbox.answered(first, []);
  expect(bundle.fate).toEqual([]);
  const second = inbox.draw(2);
  expect(second.ids).toEqual(["c"]);
  inbox.answered(second, []);
  expect(bundle.fate).toEqual(["ack"]);
  expect([inbox.messages, inbox.unasked]).toEqual([0, 0]);
});

test("older messages go first, and a draft takes from several", () => {
  const inbox = openInbox();
  const [one, two] = [message("a"), message("b", "c")];
  inbox.put(one);
  inbox.put(two);
  inbox.answered(inbox.draw(2), []);
  expect([one.fate, two.fate]).toEqual([["ack"], []]);
  expect(inbox.draw(5).ids).toEqual(["c"]);
});

test("an id named by two messages is asked for once, and both are acked", () => {
  const inbox = openInbox();
  const [one, two] = [message("a"), message("a")];
  inbox.put(one);
  inbox.put(two);
  const draft = inbox.draw(5);
  expect(draft.ids).toEqual(["a"]);
  inbox.answered(draft, []);
  expect([one.fate, two.fate]).toEqual([["ack"], ["ack"]]);
});

test("ids without an answer wait again, in front and in order", () => {
  const inbox = openInbox();
  inbox.put(message("a", "b"));
  inbox.put(message("c"));
  const draft = inbox.draw(3);
  inbox.put(message("d"));
  inbox.unanswered(draft);
  expect(inbox.draw(9).ids).toEqual(["a", "b", "c", "d"]);
});

test("at quiet what was not asked for goes back, what was asked for is acked by its answer", () => {
  const inbox = openInbox();
  const [asked, waiting] = [message("a"), message("b", "c")];
  inbox.put(asked);
  inbox.put(waiting);
  const draft = inbox.draw(2);
  expect(inbox.handBack()).toBe(1);
  inbox.answered(draft, []);
  expect([asked.fate, waiting.fate]).toEqual([["ack"], ["requeue"]]);
});

test("a claim that fails after quiet leaves its message to the broker", () => {
  const inbox = openInbox();
  const waiting = message("a", "b");
  inbox.put(waiting);
  const draft = inbox.draw(1);
  inbox.handBack();
  inbox.unanswered(draft);
  expect(inbox.isEmpty).toBe(true);
  expect(waiting.fate).toEqual(["requeue"]);
});

test("only bundles that have waited too long are taken out for splitting", () => {
  const inbox = openInbox();
  const [old, young, single] = [message("a", "b"), { ...message("c", "d"), since: 50 }, message("e")];
  for (const one of [old, young, single]) inbox.put(one);
  expect(inbox.takeStale("q", 10, 2)).toEqual([old]);
  inbox.sentOn(old, true);
  expect(old.fate).toEqual(["ack"]);
  expect(inbox.draw(9).ids).toEqual(["c", "d", "e"]);
});

test("a bundle that could not be split waits again", () => {
  const inbox = openInbox();
  const old = message("a", "b");
  inbox.put(old);
  inbox.draw(1);
  const [taken] = inbox.takeStale("q", 10, 2);
  expect(taken).toBeUndefined();
  expect(inbox.draw(9).ids).toEqual(["b"]);
});

test("queues take turns by weight, also within one draft, and one alone takes all", () => {
  const inbox = openInbox({ high: 3, low: 1 });
  for (let index = 0; index < 8; index += 1) {
    inbox.put(messageIn("high", `h${index}`));
    inbox.put(messageIn("low", `l${index}`));
  }
  const first = inbox.draw(8);
  expect(first.ids.filter((id) => id.startsWith("h"))).toHaveLength(6);
  expect(inbox.draw(4).ids.filter((id) => id.startsWith("h"))).toHaveLength(2);
  expect(inbox.draw(9).ids).toEqual(["l4", "l5", "l6", "l7"]);
});

test("a bundle whose queue takes turns is one part of the draft, and acked once all of it has an answer", () => {
  const inbox = openInbox();
  const [bundle, other] = [messageIn("a", "1", "2", "3"), messageIn("b", "x", "y", "z")];
  inbox.put(bundle);
  inbox.put(other);
  const draft = inbox.draw(6);
  expect(draft.parts).toHaveLength(2);
  inbox.answered(draft, []);
  expect([bundle.fate, other.fate]).toEqual([["ack"], ["ack"]]);
});

test("of a queue whose definitions are capped no more is asked for than may run; what was not given makes room again", () => {
  const capped = handle(defineJob({ name: "capped", queue: "few", payload: z.object({}) }), () => undefined, {
    concurrency: 2,
  });
  const room = createQueueRoom([capped]);
  const inbox = new Inbox(createTurns({}), room);
  inbox.put(messageIn("few", "1", "2", "3", "4"));
  inbox.put(messageIn("free", "a"));
  const draft = inbox.draw(9);
  expect([...draft.ids].sort()).toEqual(["1", "2", "a"]);
  expect([inbox.isEmpty, inbox.unasked]).toEqual([true, 2]);
  inbox.answered(draft, [job("1", "few"), job("a", "free")]);
  const next = inbox.draw(9);
  expect(next.ids).toEqual(["3"]);
  inbox.unanswered(next);
  room.give("few", 1);
  expect(inbox.draw(9).ids).toEqual(["3", "4"]);
});

test("a message waits for the proof of each early claim, but not for claims that are on disk", () => {
  const inbox = openInbox();
  const [bundle, single] = [message("a", "b", "c"), message("d")];
  inbox.put(bundle);
  inbox.put(single);
  const [a, b, d] = [job("a", "q", false), job("b", "q", false), job("d")];
  expect(inbox.answered(inbox.draw(4), [a, b, d])).toEqual(new Map([a, b].map((each) => [each, bundle])));
  expect([bundle.fate, single.fate, inbox.messages]).toEqual([[], ["ack"], 0]);
  inbox.proved(bundle);
  expect(bundle.fate).toEqual([]);
  inbox.proved(bundle);
  expect(bundle.fate).toEqual(["ack"]);
});

test("a message that was handed back with a part unproved is not acked later", () => {
  const inbox = openInbox();
  const bundle = message("a", "b");
  inbox.put(bundle);
  inbox.answered(inbox.draw(1), [job("a", "q", false)]);
  expect(inbox.hasUnprovedParts).toBe(true);
  expect(inbox.handBack()).toBe(1);
  inbox.proved(bundle);
  expect(bundle.fate).toEqual(["requeue"]);
});

test("a job of which nobody knows whose it is is asked for again, and its message waits or goes back with it", () => {
  const fates = [false, true].map((quiet) => {
    const inbox = openInbox();
    const single = message("a");
    inbox.put(single);
    inbox.answered(inbox.draw(1), [job("a", "q", false)]);
    inbox.again(single, "a");
    expect([inbox.unasked, single.fate]).toEqual([1, []]);
    if (quiet) inbox.handBack();
    else inbox.answered(inbox.draw(1), []);
    return single.fate;
  });
  expect(fates).toEqual([["ack"], ["requeue"]]);
});
