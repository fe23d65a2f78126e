#!/usr/bin/env node
import { failed, run } from './program.js';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read the output has gone, as `| head` does: there is nobody left to tell. 128 + SIGPIPE, as a shell has it.
  process.exit(error.code === 'EPIPE' ? 141 : failed({ ...error, path: 'stdout' }, process));
});

process.exitCode = await run(process.argv.slice(2), process);
