import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  // Every address in the page is relative, so that it works below any path of any host.
  base: './',
  // What `npm run playground:data` wrote; without it only the page itself is built, which `fsvae-codegen view` serves.
  publicDir: '../build/playground',
  worker: { format: 'es' },
  server: { host: '127.0.0.1' },
  build: {
    outDir: '../dist-playground',
    emptyOutDir: true,
    target: 'es2022',
    // Workers carry the templates and the emulator.
    chunkSizeWarningLimit: 1000,
  },
});
