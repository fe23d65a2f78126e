/** `npm run schema`: writes training/config/schema.json, which training/pytorch reads. */

import { writeFileSync } from 'node:fs';
import { configJsonSchema } from './config.js';

writeFileSync('training/config/schema.json', `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
