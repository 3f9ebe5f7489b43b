import { expect, test } from "vitest";
import { type BrokerFacts, chooseBroker } from "../src/start/broker/choose.ts";
import { probeFailure, probeSentence } from "../src/start/broker/probe.ts";

const bare: BrokerFacts = {
  amqpUrl: undefined,
  wanted: "auto",
  localhost: "none",
  docker: "none",
  installed: false,
  canInstall: false,
};
const everything = { localhost: "answers", docker: "ready", installed: true, canInstall: true } as const;

test.for([
  { when: "AMQP_URL is set", facts: { ...everything, amqpUrl: "amqp://h" }, choice: { kind: "url", url: "amqp://h" } },
  { when: "one answers on localhost", facts: everything, choice: { kind: "localhost" } },
  {
    when: "only Docker and a server are there",
    facts: { ...everything, localhost: "none" },
    choice: { kind: "docker" },
  },
  {
    when: "Docker has no image",
    facts: { ...everything, localhost: "none", docker: "no-image" },
    choice: { kind: "private", install: false },
  },
  {
    when: "a server is installed",
    facts: { installed: true, canInstall: true },
    choice: { kind: "private", install: false },
  },
  { when: "this is root on Debian", facts: { canInstall: true }, choice: { kind: "private", install: true } },
  {
    when: "a private one is wanted",
    facts: { ...everything, wanted: "private" },
    choice: { kind: "private", install: false },
  },
  { when: "Docker is wanted", facts: { ...everything, wanted: "docker" }, choice: { kind: "docker" } },
] as const)("when $when, the broker is $choice.kind", ({ facts, choice }) => {
  expect(chooseBroker({ ...bare, ...facts })).toEqual(choice);
});

test.for([
  { when: "nothing is there", facts: {}, says: "install it" },
  { when: "localhost refuses guest", facts: { localhost: "refuses", installed: true }, says: "refuses the user guest" },
  {
    when: "localhost is wanted and silent",
    facts: { wanted: "localhost", installed: true },
    says: "no broker answers",
  },
  { when: "Docker is wanted and absent", facts: { wanted: "docker", installed: true }, says: "no Docker engine" },
  {
    when: "Docker is wanted without image",
    facts: { wanted: "docker", docker: "no-image" },
    says: "WARREN_RABBITMQ_IMAGE",
  },
] as const)("when $when, it says what to do", ({ facts, says }) => {
  expect(() => chooseBroker({ ...bare, ...facts })).toThrow(says);
});

test.for([
  {
    message: 'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused"',
    says: "refuses the user ann",
  },
  { message: "Expected ConnectionOpenOk; got <ConnectionClose channel:0>", says: 'has no vhost "shop"' },
  { message: "connect ETIMEDOUT: handshake timed out", says: "no broker answers on mq:5672" },
  { message: "Socket closed abruptly during opening handshake", says: "no AMQP broker" },
])("tells a broker's refusal by its handshake: $says", ({ message, says }) => {
  const probe = probeFailure(message);
  if (probe.kind === "answers") throw new Error("unexpected");
  const sentence = probeSentence(probe, "amqp://ann:hush@mq/shop", "AMQP_URL");
  expect(sentence).toContain(says);
  expect(sentence).not.toContain("hush");
});
