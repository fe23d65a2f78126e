/** The one thing of Vite's that the page's code calls (vite/client would bring Node's types with it). */
interface ImportMeta {
  glob<T>(pattern: string, options: { query: string; import: string; eager: true }): Record<string, T>;
}
