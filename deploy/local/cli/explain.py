"""Routing decisions and SIP ladders, as people read them."""

from collections.abc import Iterable, Sequence

from deploy.local.cli.client import Json
from deploy.local.cli.output import console, harmless


def show_considered(considered: Iterable[Json]) -> None:
    """Every vendor that was looked at, in the order they would be tried."""
    for one in considered:
        place = f"{one['order']}." if one.get("order") else "- "
        cost = f"{one['cost']} {one.get('currency', '')}" if one.get("cost") else ""
        console.print(f"  {place:<3}{one['name']:<20} {cost:<14} {one.get('because', '')}")


def show_plan(plan: Json) -> None:
    """One plan with its explanation."""
    why = plan["explanation"] or {}
    if plan["refused"]:
        console.print(f"[red]refused: {plan['refused']}[/] {why.get('because', '')}")
    sell = plan.get("sell_terms")
    if sell:
        console.print(
            f"called {plan['called_billed']}: sold by prefix {sell['prefix'] or '*'} at "
            f"{sell['next_price']} {sell['currency']}/min, {sell['first_s']}/{sell['next_s']}"
        )
    show_considered(why.get("considered", ()))


def show_ladder(steps: Sequence[Json], *, raw: bool = False) -> None:
    """One line for every message: the customer on the left, vendors on the right."""
    for step in steps:
        at = (step["at"] or "")[11:23]
        if step["leg"].startswith("A"):
            arrow = "<--" if step["sent"] else "-->"
            line = f"customer {arrow} switch             "
        else:
            arrow = "-->" if step["sent"] else "<--"
            line = f"                switch {arrow} {step['leg']:<8}"
        console.print(f"  {at}  {line} {harmless(step['summary'])}", markup=False)
        if raw:
            console.print(harmless(step["raw"]), markup=False)


def show_vendors(vendors: Sequence[Json]) -> None:
    """One line for every vendor trunk, and one for each address that differs from it."""
    for vendor in vendors:
        _show_state(vendor["name"], vendor, f"{vendor['calls']} calls")
        targets = vendor["targets"]
        for target in targets if len(targets) > 1 else ():
            _show_state(f"  {target['target']}", target)


def _show_state(name: str, seen: Json, further: str = "") -> None:
    since = f"since {seen['since'][:19]}" if seen["since"] else ""
    until = f"until {seen['until'][:19]}" if seen["until"] else ""
    words = " ".join(word for word in (since, until, seen["why"], further) if word)
    console.print(f"  {name:<32} {seen['state']:<10} {harmless(words)}", markup=False)
