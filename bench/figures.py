"""How the programs of this folder print a figure: one JSON line."""
import json
import statistics


def figure(name, unit, accelerator, values=None, value=None, **more):
    line = {"figure": name, "unit": unit, "n": len(values) if values else 1}
    if values:
        cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
        line.update({"p50": round(cuts[49], 1), "p90": round(cuts[89], 1), "p99": round(cuts[98], 1)})
    elif value is not None:
        line["value"] = round(value, 2)
    line["accelerator"] = accelerator
    print(json.dumps({**line, **more}), flush=True)
