// Lines "VERSION<tab>RANGE" in; out: "invalid version", "invalid range", "yes" or "no", as npm's semver says. The counterpart of semver.c.
import readline from "node:readline";
import semver from "semver";

for await (const line of readline.createInterface({ input: process.stdin })) {
  const [version, range] = line.split("\t");
  if (!semver.valid(version)) console.log("invalid version");
  else if (semver.validRange(range) === null) console.log("invalid range");
  else console.log(semver.satisfies(version, range) ? "yes" : "no");
}
