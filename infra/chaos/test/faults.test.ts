import { expect, test } from "vitest";
import { parseCommand } from "../src/command.ts";
import { planFaults } from "../src/faults.ts";
import { createRandom, type Random } from "../src/random.ts";

const draw = (random: Random) => Array.from({ length: 20 }, () => random.next());

test("the same seed and length are the same faults, and another seed is others", () => {
  expect(planFaults(7, 300_000)).toEqual(planFaults(7, 300_000));
  expect(planFaults(7, 300_000)).not.toEqual(planFaults(8, 300_000));
});

test("a longer run begins as the shorter one", () => {
  const short = planFaults(7, 60_000);
  expect(planFaults(7, 300_000).slice(0, short.length)).toEqual(short);
});

test("half an hour of faults strikes everybody in every way", () => {
  const kinds = new Set(planFaults(3, 1_800_000).map(({ kind, action }) => `${kind} ${action}`));
  expect([...kinds].sort()).toEqual([
    "broker kill",
    "broker pause",
    "broker restart",
    "database kill",
    "database pause",
    "database restart",
    "database sever",
    "dispatcher kill",
    "dispatcher pause",
    "dispatcher terminate",
    "worker kill",
    "worker pause",
    "worker terminate",
  ]);
});

test("no fault begins in the last two seconds", () => {
  for (let seed = 0; seed < 50; seed++) {
    for (const { atMs } of planFaults(seed, 30_000)) expect(atMs).toBeLessThan(28_000);
  }
});

test("numbers for one purpose do not follow from those for another", () => {
  expect(draw(createRandom(7, "faults"))).not.toEqual(draw(createRandom(7, "load")));
  expect(draw(createRandom(7, "load"))).toEqual(draw(createRandom(7, "load")));
});

test("a command says how to make the same run again", () => {
  expect(parseCommand(["--minutes", "0.5"], () => 42)).toMatchObject({
    kind: "run",
    seed: 42,
    text: "--minutes 0.5 --seed 42 --faults all --rate 1",
  });
});

test.for([
  [["--minutes", "soon"], /--minutes/],
  [["--minutes", "0"], /--minutes/],
  [["--seed", "1.5"], /--seed/],
  [["--seed", "-1"], /--seed/],
  [["--faults", "some"], /--faults/],
  [["--rate", "NaN"], /--rate/],
  [["--speed", "3"], /--speed/],
] as const)("wrong options are named: %j", ([args, why]) => {
  const command = parseCommand(args, () => 1);
  expect(command.kind === "wrong" && command.why).toMatch(why);
});
