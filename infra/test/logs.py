"""What the metric filters look for is what the code writes: each message, each field, each value."""

import fnmatch
import re
import sys

import cost
import state

# What a filter looks for and the code does not write yet. An alarm without data is silent, so this is said at each run, and it is an
# error as soon as the code writes it.
MISSING = set()

LINE = re.compile(r"tracing::(?:info|warn|error)!\(")
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


def lines(sources):
    """`{message: fields}` of all log lines."""
    found = {}
    for text in sources.values():
        for match in LINE.finditer(text):
            inside = arguments(text, match.end())
            message = inside[-1].strip()
            if not (literal := TEXT.fullmatch(message)):
                continue  # a message that is put together, as in `"job {line}"`, is matched as text below
            fields = set()
            for argument in inside[:-1]:
                name = argument.split("=")[0].strip().lstrip("%?")
                fields.add(name.split(".")[-1])
            # Several lines may have the same message: a filter may count on what all of them have.
            known = found.setdefault(literal[1], fields)
            found[literal[1]] = known & fields
    return found


def arguments(text, start):
    """The arguments of a macro, split at the commas that are its own."""
    parts, depth, quoted, begun = [], 0, False, start
    place = start
    while True:
        sign = text[place]
        if quoted:
            if sign == "\\":
                place += 1
            elif sign == '"':
                quoted = False
        elif sign == '"':
            quoted = True
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            if depth == 0:
                parts.append(text[begun:place])
                return [part for part in parts if part.strip()]
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(text[begun:place])
            begun = place + 1
        place += 1


def main():
    sources = {**state.rust("shared/service/src"), **state.rust("functions")}
    written = lines(sources)
    # `why` and `action` of a sweep's steps come from the core's plan and the executor's names.
    values = {text for source in {**sources, **state.rust("shared/core/src")}.values() for text in TEXT.findall(source)}

    filters = [values_ for address, values_ in state.resources("minimal").items() if "aws_cloudwatch_log_metric_filter" in address]
    missing = set()
    for item in filters:
        pattern = item["pattern"]
        messages = re.findall(r'\$\.message = "([^"]+)"', pattern)
        fields = set(re.findall(r"\$\.(\w+)", pattern + item["metric_transformation"][0]["value"])) - {"message"}
        if not messages:
            sys.exit(f"{item['name']} looks for no message: {pattern}")
        for message in messages:
            if message not in written:
                sys.exit(f"{item['name']}: nothing writes `{message}`")
            missing |= {(message, field) for field in fields - written[message]}
        for field, value in re.findall(r'\$\.(\w+) = "([^"]+)"', pattern):
            if field != "message" and not any(fnmatch.fnmatchcase(text, value) for text in values):
                sys.exit(f"{item['name']}: `{field}` is never `{value}`")
        print(f"{item['name']}: {pattern}")
    if missing != MISSING:
        sys.exit(f"looked for and not written: {sorted(missing - MISSING)}; written by now, so strike it from MISSING: {sorted(MISSING - missing)}")
    for message, field in sorted(MISSING):
        print(f"NOT WRITTEN YET: `{field}` of `{message}`: what counts it has no data")

    # A metric that nothing publishes would never alarm.
    own = {(item["metric_transformation"][0]["namespace"], item["metric_transformation"][0]["name"]) for item in filters}
    known = {
        "AWS/Lambda": {"Errors", "Throttles", "Invocations", "Duration", "ConcurrentExecutions"},
        "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
        "AWS/DynamoDB": {"ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits"},
    }
    alarms = {address: item for address, item in state.resources("minimal").items() if "aws_cloudwatch_metric_alarm" in address}
    metrics = [(item["namespace"], item["metric_name"]) for item in alarms.values()]
    board = state.json.loads(state.resources("minimal")["module.monitoring.aws_cloudwatch_dashboard.this"]["dashboard_body"])
    metrics += [tuple(metric[:2]) for widget in board["widgets"] for metric in widget["properties"]["metrics"]]
    for namespace, name in metrics:
        if (namespace, name) not in own and name not in known.get(namespace, ()):
            sys.exit(f"nothing publishes {namespace} {name}")
    counted = {"metric": len(own), "alarm": len(alarms)}
    if any(cost.mayfly(1)[what] != number for what, number in counted.items()):
        sys.exit(f"cost.py counts other than these: {counted}")
    print(f"{len(alarms)} alarms, {len(board['widgets'])} widgets: each metric is published by AWS or by one of the {len(filters)} filters")


if __name__ == "__main__":
    main()
