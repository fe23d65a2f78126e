import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'dist-playground/', 'build/', 'node_modules/'] },
  js.configs.recommended,
  ...tseslint.configs.strict,
  {
    files: ['**/*.ts'],
    rules: {
      // Typed arrays are indexed in every inner loop; their length is checked once, at the edge.
      '@typescript-eslint/no-non-null-assertion': 'off',
      eqeqeq: 'error',
      'no-console': 'off',
    },
  },
  {
    // The loader of a WebAssembly module, which Node and browsers both run.
    files: ['firmware-templates/**/*.mjs'],
    languageOptions: { globals: { WebAssembly: 'readonly', performance: 'readonly' } },
  },
  {
    // mocha loads its reporter by require().
    files: ['**/*.cjs'],
    languageOptions: {
      sourceType: 'commonjs',
      globals: { require: 'readonly', module: 'writable', process: 'readonly' },
    },
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
  {
    // chai's assertions are property reads.
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-unused-expressions': 'off' },
  },
);
