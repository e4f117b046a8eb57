import { expect, test } from 'vitest';
import { Places } from '../../src/sandbox/places.ts';

const taken = (places: Places): number[] => {
  const ids: number[] = [];
  for (let id = places.next(); id !== undefined; id = places.next()) ids.push(id);
  return ids;
};

test('jobs get places in the order in which they came, as many as there are', () => {
  const places = new Places(2);
  for (const id of [5, 3, 9]) places.enqueue(id, 10);
  expect(taken(places)).toEqual([5, 3]);
  expect([places.isQueued(9), places.isQueued(5)]).toEqual([true, false]);
  places.leave(5);
  expect(taken(places)).toEqual([9]);
  expect(places.begun()).toEqual([3, 9]);
});

test('a job that waits for the host gives its place away, and may run again over the number of places', () => {
  const places = new Places(1);
  places.enqueue(1, 0);
  places.enqueue(2, 0);
  expect(taken(places)).toEqual([1]);
  places.waitForHost(1);
  expect(places.waitingForHost).toBe(1);
  expect(taken(places)).toEqual([2]);
  places.run(1);
  expect([places.waitingForHost, taken(places)]).toEqual([0, []]);
  places.enqueue(3, 0);
  places.leave(1);
  expect(taken(places)).toEqual([]);
  places.leave(2);
  expect(taken(places)).toEqual([3]);
});

test('what waits is counted, with the size of its input, until it begins or goes', () => {
  const places = new Places(1);
  for (const id of [1, 2, 3]) places.enqueue(id, id * 100);
  expect(places.queue).toEqual({ jobs: 3, bytes: 600 });
  expect(places.next()).toBe(1);
  places.leave(3);
  expect(places.queue).toEqual({ jobs: 1, bytes: 200 });
  places.leave(3);
  places.leave(77);
  places.leave(2);
  expect(places.queue).toEqual({ jobs: 0, bytes: 0 });
  expect(places.begun()).toEqual([1]);
});
