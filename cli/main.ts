#!/usr/bin/env node
import { run } from './program.js';

// Whoever read the output has gone, as `| head` does: there is nobody left to tell. 128 + SIGPIPE, as a shell has it.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(141);
});

process.exitCode = await run(process.argv.slice(2), process);
