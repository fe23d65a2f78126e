/** JSON files that people write, and what to say of their errors: one line, whatever is in the file. */

import { FsvaeError } from './errors.js';

/** Text of a file, for a message: what would end or change the line is spelt out. */
export function inLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Problems named by a schema. */
const MOST_PROBLEMS = 20;

/**
 * All that is wrong with a file, each with its path in it, in one line.
 *
 * @param where the file, as the line begins
 */
export function schemaProblems(
  where: string,
  issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
): string {
  const named = issues.slice(0, MOST_PROBLEMS).map(({ path, message }) => `${path.join('.') || '(top)'}: ${message}`);
  const more = issues.length > MOST_PROBLEMS ? `; and ${issues.length - MOST_PROBLEMS} more` : '';
  return inLine(`${where} has ${issues.length} error(s): ${named.join('; ')}${more}`);
}

/** @throws FsvaeError `input` for what is no JSON */
export function parseJson(content: string, where: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    // The parser quotes what it could not read, line ends and all.
    throw new FsvaeError('input', inLine(`${where} is not JSON: ${(error as Error).message.replaceAll(/\s+/g, ' ')}`));
  }
}
