import { findPython } from '../../src/sandbox/find-python.ts';

/** A Python that can be confined here, or why there is none. */
export const python = await findPython(process.env.TOOLWEAVER_PYTHON).catch((error: Error) => error.message);

/** Titles end with it: why a test over that engine is skipped. */
export const needsPython = typeof python === 'string' ? ` (${python})` : '';
