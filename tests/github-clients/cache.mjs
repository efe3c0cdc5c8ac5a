// usage: cache.mjs PACKAGE save|restore KEY,RESTORE-KEY... PATH... : prints what the client returned, as JSON.
const [name, verb, keys, ...paths] = process.argv.slice(2);
const cache = await import(name);
const [key, ...more] = keys.split(",");
const options = JSON.parse(process.env.TEST_OPTIONS ?? "{}");
const result = verb === "save" ? await cache.saveCache(paths, key, options) : await cache.restoreCache(paths, key, more, options);
console.log(JSON.stringify({ result: result ?? null }));
