"""What the demonstration claims, and whether it is so."""

from dataclasses import dataclass, field
from decimal import Decimal

from rich.console import Console

from deploy.local.cli.client import Json
from deploy.local.demo.call import CALLER_HZ, VENDOR_HZ, Heard, Outcome


@dataclass
class Report:
    """One call, seen from both ends, from the ledger and from the record."""

    outcome: Outcome
    record: Json
    ladder: list[Json]
    before: dict[str, Decimal]
    after: dict[str, Decimal]
    checks: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        record, outcome = self.record, self.outcome
        price, cost = Decimal(record["price"]), Decimal(record["cost"])
        considered = record["explanation"]["considered"]
        legs = {step["leg"] for step in self.ladder}
        seconds = -(-record["talk_ms"] // 1000)
        self.checks = {
            "the cheaper vendor was tried first and refused": (
                outcome.refused_attempts == 1 and record["attempts"][0]["sip_code"] == 503
            ),
            "the explanation says why the dear vendor was second": (
                [one["name"] for one in considered[:2]] == ["demo-cheap", "demo-dear"]
                and bool(considered[1]["because"])
            ),
            "the dear vendor answered": (
                len(record["attempts"]) == 2 and record["attempts"][1]["sip_code"] == 200
            ),
            "the ladder shows the customer and both vendors": len(legs) >= 3,
            f"the vendor heard the caller's {CALLER_HZ} Hz": outcome.by_vendor.is_right,
            f"the caller heard the vendor's {VENDOR_HZ} Hz": outcome.by_caller.is_right,
            "the record says how long they talked": 2900 <= record["talk_ms"] <= 4500,
            "the price is 0.01 and 0.030 a minute by the second": (
                price == Decimal("0.01") + Decimal("0.0005") * seconds
            ),
            "the cost is 0.012 a minute by six seconds": (
                cost == Decimal("0.0002") * (-(-seconds // 6) * 6)
            ),
            "the customer's balance fell by the price": self.moved("demo-customer") == -price,
            "the vendor's balance rose by the cost": self.moved("demo-vendors") == cost,
            "the caller hung up, and the record says so": (
                record["end_side"] == "caller" and record["end_reason"] == "normal"
            ),
            "the relayed packets were counted": (
                record["media_caller"]["packets"] >= outcome.by_vendor.packets > 0
            ),
        }

    def moved(self, account: str) -> Decimal:
        """By how much a balance changed."""
        return self.after[account] - self.before[account]

    @property
    def passed(self) -> int:
        """How many checks hold."""
        return sum(self.checks.values())

    @property
    def is_good(self) -> bool:
        """Whether all of them do."""
        return all(self.checks.values())

    def print(self, console: Console) -> None:
        """For people."""
        record = self.record
        price, cost = Decimal(record["price"]), Decimal(record["cost"])
        console.print("\n[bold]audio[/]")
        console.print(f"  caller heard {_heard(self.outcome.by_caller)}")
        console.print(f"  vendor heard {_heard(self.outcome.by_vendor)}")
        console.print("\n[bold]money[/]")
        console.print(
            f"  talked   {record['talk_ms'] / 1000:.3f} s, billed {record['customer_billed_s']} s"
        )
        console.print(f"  price    {price} EUR to demo-customer")
        console.print(f"  cost     {cost} EUR to demo-vendors, for {record['vendor_billed_s']} s")
        console.print(f"  margin   {price - cost} EUR")
        for name in self.before:
            console.print(f"  balance  {name}: {self.before[name]} -> {self.after[name]} EUR")
        console.print("\n[bold]the record, as ClickHouse has it[/]")
        for name, value in record.items():
            if value not in (None, "", [], {}) and not isinstance(value, dict | list):
                console.print(f"  {name:<20} {value}", markup=False)
        console.print("\n[bold]checks[/]")
        for claim, holds in self.checks.items():
            console.print(f"  {'[green]ok[/]  ' if holds else '[red]FAIL[/]'} {claim}")

    def document(self) -> Json:
        """For programs."""
        return {"is_good": self.is_good, "checks": self.checks, "record": self.record,
                "ladder": self.ladder, "balances_before": self.before,
                "balances_after": self.after}  # fmt: skip


def _heard(heard: Heard) -> str:
    return (
        f"{heard.packets} of {heard.expected} packets, "
        f"{heard.share:.1%} of the energy at {heard.tone_hz} Hz"
    )
