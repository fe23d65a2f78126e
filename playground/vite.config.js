import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  // Every address in the page is relative, so that it works below any path of any host.
  base: './',
  // What `npm run playground:data` wrote; without it only the page itself is built, which `fsvae-codegen view` serves.
  publicDir: '../build/playground',
  worker: { format: 'es', rolldownOptions: { checks: { eval: false } } },
  server: { host: '127.0.0.1' },
  build: {
    outDir: '../dist-playground',
    emptyOutDir: true,
    target: 'es2022',
    // Workers carry the templates and the emulator.
    chunkSizeWarningLimit: 1000,
    // rp2040js asks Node for its clock by eval where there is no performance.now(); a browser has one.
    rolldownOptions: { checks: { eval: false } },
  },
});
