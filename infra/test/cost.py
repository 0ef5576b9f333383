"""What the control plane costs in a month, from counted requests and list prices. COST.md says where each number comes from."""

JOBS = (1_000, 100_000, 1_000_000)
SWEEPS = 30 * 24 * 60

# US dollars, us-east-1 and us-central1; read for COST.md in November 2026.
PRICE = {
    "lambda request": 0.20e-6,
    "lambda GB-s": 0.0000133334,  # arm64
    "write unit": 0.625e-6,
    "read unit": 0.125e-6,
    "table GB": 0.25 + 0.20,  # storage, and its point-in-time recovery
    "scheduler": 1.00e-6,
    "log GB": 0.50 + 0.03,  # taken in, and kept
    "metric": 0.30,
    "alarm": 0.10,
    "dashboard": 3.00,
    "GB out": 0.09,
    "http api": 1.00e-6,
    "sqs": 0.40e-6,
}
# What AWS gives each account every month, without end.
FREE = {
    "lambda request": 1e6,
    "lambda GB-s": 400_000,
    "table GB": 0,  # 25 GB are free, their recovery is not
    "scheduler": 14e6,
    "log GB": 5,
    "metric": 10,
    "alarm": 10,
    "dashboard": 3,
    "GB out": 100,
    "sqs": 1e6,
}

MAYFLY = {"webhook calls": 3, "webhook s": 10, "sweep s": 2, "write units": 13, "read units": 4, "job KB": 2, "log KB": 6, "out KB": 20}
SWEEP = {"write units": 1, "read units": 3, "log KB": 0.7, "out KB": 5}
VM = {"e2-small": 0.016751 * 730, "disk, 10 GB balanced": 10 * 0.10, "IPv4 address": 0.005 * 730}


def mayfly(jobs):
    """Units used, by price."""
    return {
        "lambda request": jobs * MAYFLY["webhook calls"] + SWEEPS,
        "lambda GB-s": 0.125 * (jobs * MAYFLY["webhook s"] + SWEEPS * MAYFLY["sweep s"]),
        "write unit": jobs * MAYFLY["write units"] + SWEEPS * SWEEP["write units"],
        "read unit": jobs * MAYFLY["read units"] + SWEEPS * SWEEP["read units"],
        "table GB": jobs * 3 / 30 * MAYFLY["job KB"] / 1e6,
        "scheduler": SWEEPS,
        "log GB": (jobs * MAYFLY["log KB"] + SWEEPS * SWEEP["log KB"]) / 1e6,
        "metric": 5,
        "alarm": 11,
        "dashboard": 1,
        "GB out": (jobs * MAYFLY["out KB"] + SWEEPS * SWEEP["out KB"]) / 1e6,
    }


def three_lambdas(jobs):
    """Webhook (256 MB), queue, scale-up (512 MB), and scale-down (512 MB) every five minutes, behind an HTTP API."""
    downs = SWEEPS / 5
    return {
        "http api": jobs * 3,
        "lambda request": jobs * (3 + 1) + downs,
        "lambda GB-s": 0.25 * jobs * 3 * 0.2 + 0.5 * jobs * 4 + 0.5 * downs * 5,
        "sqs": jobs * 3 + SWEEPS * 5 * 3,  # send, receive, delete; five pollers ask three times a minute
        "log GB": (jobs * 10 + downs * 2) / 1e6,
    }


def cost(units, with_free):
    return sum(max(0, used - (FREE.get(name, 0) if with_free else 0)) * PRICE[name] for name, used in units.items())


def dollars(amount):
    return f"${amount:,.2f}"


def tables():
    yield "| a month | " + " | ".join(f"{jobs:,} jobs" for jobs in JOBS) + " |"
    yield "| --- |" + " ---: |" * len(JOBS)
    for name, units, free in (
        ("**Mayfly**, list prices", mayfly, False),
        ("**Mayfly**, less what AWS gives every month", mayfly, True),
        ("three Lambdas and a queue, list prices", three_lambdas, False),
        ("three Lambdas and a queue, less what AWS gives", three_lambdas, True),
    ):
        yield f"| {name} | " + " | ".join(dollars(cost(units(jobs), free)) for jobs in JOBS) + " |"
    yield "| an e2-small that is always on | " + " | ".join(dollars(sum(VM.values())) for _ in JOBS) + " |"
    yield ""
    yield "| Mayfly, list prices | unit | " + " | ".join(f"{jobs:,} jobs" for jobs in JOBS) + " |"
    yield "| --- | ---: |" + " ---: |" * len(JOBS)
    for name in mayfly(1):
        cells = (f"{amount(mayfly(jobs)[name])} = {dollars(mayfly(jobs)[name] * PRICE[name])}" for jobs in JOBS)
        yield f"| {name} | ${PRICE[name]:.10f}".rstrip("0").rstrip(".") + " | " + " | ".join(cells) + " |"


def amount(units):
    return f"{units:,.0f}" if units >= 10 or units == int(units) else f"{units:.2g}"


if __name__ == "__main__":
    print("\n".join(tables()))
