export { runHttp as run } from './call.mjs';
