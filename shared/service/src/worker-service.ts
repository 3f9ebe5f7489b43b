import type { Worker } from "@warren/jobs";
import type { RunningService } from "./service.ts";

/**
 * Starts a service that is one worker. `stack` holds what its handlers stand on: it goes with the service, the worker first, and stays the
 * caller's when the start fails. @throws as `worker.start`.
 */
export async function startWorkerService(worker: Worker, stack: AsyncDisposableStack): Promise<RunningService> {
  stack.use(worker);
  await worker.start();
  const owned = stack.move();
  return {
    quiet: () => worker.quiet(),
    drain: (deadline) => worker.drain(deadline),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
