import { WarrenError } from "@warren/contracts";

/** What the testing helpers throw when they cannot do what a test asks: `TEST_NOT_FAKED`, `TEST_DRAIN_ENDLESS`, `TEST_DRAIN_STUCK`. */
export class TestingError extends WarrenError {}

/** Stands in for a part that has no fake: whatever is called on it rejects. */
export function notFaked(what: string): object {
  return new Proxy(
    {},
    {
      get: (_, name) => async () => {
        throw new TestingError(
          "TEST_NOT_FAKED",
          `${what}${String(name)}: the client of createTestClient has no database; use openTestWarren() for this test`,
        );
      },
    },
  );
}
