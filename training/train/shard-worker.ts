/** A thread that computes shards (shards.ts) for as long as it is asked to. */

import { parentPort, workerData } from 'node:worker_threads';
import type { TrainingConfig } from '../config/config.js';
import { shardComputer, type ShardTask } from './shards.js';

const computer = shardComputer(workerData as TrainingConfig);

parentPort!.on('message', (task: ShardTask) => {
  // A rejection ends the thread, which the one that asked sees.
  void computer.then((compute) => parentPort!.postMessage(compute(task)));
});
