/** The worker's end of page/worker-link.ts. */

import type { Call, Methods } from '../page/worker-link.js';

/** What a dedicated worker's global object has; the page's types are those of a window. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Call>) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
}

const scope = globalThis as unknown as WorkerScope;

/** Tells the page something that it did not ask for. */
export function tell(event: unknown, transfer: Transferable[] = []): void {
  scope.postMessage({ event }, transfer);
}

/** Answers calls with these methods; what they throw goes back as its message. */
export function serve(methods: Methods): void {
  scope.onmessage = ({ data: { id, method, argument } }) => {
    void (async () => {
      try {
        scope.postMessage({ id, result: await methods[method](argument as never) });
      } catch (error) {
        scope.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
      }
    })();
  };
}
