import type { Finding } from '../contracts.ts';
import { shortText } from '../text/clean.ts';
import { didYouMean } from '../text/nearest.ts';
import { refusal } from './finding.ts';
import { pointerToken, type SchemaNode } from './schema-tree.ts';

const maxExpanded = 2_000;
const maxExpandedDepth = 32;

interface Measure {
  size: number;
  depth: number;
}

/**
 * Checks every `$ref` of a document: it points inside the document at a schema, makes no ring, and writing all of them
 * out gives at most 2,000 schemas, 32 deep (twenty definitions that each use the one before twice stand for a million).
 */
export function checkRefs(nodes: readonly SchemaNode[]): Finding[] {
  const byPointer = new Map(nodes.map((node) => [node.pointer, node]));
  const targets = new Map<SchemaNode, SchemaNode>();
  const findings: Finding[] = [];
  for (const node of nodes) {
    const ref = node.schema.$ref;
    if (typeof ref !== 'string') continue;
    const target = isLocal(ref) ? byPointer.get(canonicalPointer(ref)) : undefined;
    if (target !== undefined) targets.set(node, target);
    else findings.push(refFinding(node, ref, byPointer));
  }
  return [...findings, ...followRefs(nodes, targets)];
}

const isLocal = (ref: string): boolean => /^#(?:\/|$)/.test(ref);

function canonicalPointer(ref: string): string {
  try {
    const pointer = decodeURIComponent(ref.slice(1)).split('/');
    const tokens = pointer.map((token) => pointerToken(token.replaceAll('~1', '/').replaceAll('~0', '~')));
    return `#${tokens.join('/')}`;
  } catch {
    return ref; // A broken percent code: it names no schema, which the caller reports.
  }
}

function refFinding(node: SchemaNode, ref: string, byPointer: ReadonlyMap<string, SchemaNode>): Finding {
  const where = `${node.path}.$ref`;
  if (!isLocal(ref)) {
    const problem = `points outside of the schema or at an anchor: ${shortText(ref)}`;
    return refusal(where, 'remote_ref', problem, 'Copy the definition into $defs and point with #/$defs/name.');
  }
  const problem = `points at no schema: ${shortText(ref)}.${didYouMean(ref, byPointer.keys())}`;
  return refusal(where, 'ref_missing', problem, 'Point at a schema of this document, such as #/$defs/name.');
}

/** Walks the schemas after their parts, without recursion; a part that is still open closes a ring. */
function followRefs(nodes: readonly SchemaNode[], targets: ReadonlyMap<SchemaNode, SchemaNode>): Finding[] {
  const done = new Map<SchemaNode, Measure>();
  const open: SchemaNode[] = [];
  const isOpen = new Set<SchemaNode>();
  const stack = nodes.slice(0, 1);
  for (let node = stack.at(-1); node !== undefined; node = stack.at(-1)) {
    const target = targets.get(node);
    const parts = target === undefined ? node.children : [...node.children, target];
    if (done.has(node)) {
      stack.pop();
    } else if (isOpen.has(node)) {
      done.set(node, measure(parts, done));
      isOpen.delete(node);
      open.pop();
      stack.pop();
    } else {
      isOpen.add(node);
      open.push(node);
      const closing = parts.find((part) => isOpen.has(part));
      if (closing !== undefined) return [ringFinding(open.slice(open.indexOf(closing)), targets)];
      for (const part of parts) if (!done.has(part)) stack.push(part);
    }
  }
  const root = nodes[0];
  return root === undefined ? [] : sizeFindings(root, done.get(root));
}

function measure(parts: readonly SchemaNode[], done: ReadonlyMap<SchemaNode, Measure>): Measure {
  let [size, depth] = [1, 0];
  for (const part of parts) {
    const measured = done.get(part);
    size = Math.min(size + (measured?.size ?? 0), 1_000_000);
    depth = Math.max(depth, measured?.depth ?? 0);
  }
  return { size, depth: depth + 1 };
}

function ringFinding(ring: readonly SchemaNode[], targets: ReadonlyMap<SchemaNode, SchemaNode>): Finding {
  const hops = ring.flatMap((node) => targets.get(node)?.pointer ?? []);
  const where = `${ring.at(-1)?.path}.$ref`;
  const stations = [hops.at(-1), ...hops].map((hop) => shortText(hop ?? ''));
  const remedy = 'Write the levels out as deep as you need them, or take the inner part as text or as any object.';
  return refusal(where, 'ref_ring', `makes a schema that contains itself: ${stations.join(' → ')}`, remedy);
}

function sizeFindings(root: SchemaNode, measured: Measure | undefined): Finding[] {
  if (measured === undefined || (measured.size <= maxExpanded && measured.depth <= maxExpandedDepth)) return [];
  const { size, depth } = measured;
  const problem = `stands for ${size} or more schemas, ${depth} deep, once every $ref is written out; ${maxExpanded} and ${maxExpandedDepth} are the limits`;
  return [refusal(root.path, 'schema_too_large', problem, 'Point at fewer or smaller definitions.')];
}
