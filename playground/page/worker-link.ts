/** Calls to a worker: a method's name and one argument, answered in order or not, and events that nobody asked for. */

/** What a worker offers: methods by name. */
export type Methods = Record<string, (argument: never) => unknown>;

/** A method that passes on what went wrong, in one line. */
export type Reply = { id: number; result: unknown } | { id: number; error: string };

export interface Call {
  readonly id: number;
  readonly method: string;
  readonly argument: unknown;
}

export class WorkerLink<M extends Methods, E> {
  private id = 0;
  private readonly waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  onEvent: (event: E) => void = () => undefined;

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Reply | { event: E }>) => {
      if ('event' in data) {
        this.onEvent(data.event);
        return;
      }
      const call = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ('error' in data) call?.reject(new Error(data.error));
      else call?.resolve(data.result as never);
    };
    worker.onerror = (event) => {
      const error = new Error(event.message || 'a worker of this page did not start');
      for (const call of this.waiting.values()) call.reject(error);
      this.waiting.clear();
    };
  }

  call<K extends keyof M & string>(
    method: K,
    argument: Parameters<M[K]>[0],
    transfer: Transferable[] = [],
  ): Promise<Awaited<ReturnType<M[K]>>> {
    const id = ++this.id;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, argument } satisfies Call, transfer);
    });
  }

  end(): void {
    this.worker.terminate();
  }
}
