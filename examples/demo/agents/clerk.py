"""The well-behaved agent: reads payments, writes a report to /workspace, and files it with the ledger."""

import csv
import decimal
import urllib.request

INPUT = "/input/payments.csv"
REPORT = "/workspace/report.md"
LEDGER = "http://127.0.0.1:18743/reports"
LARGE = decimal.Decimal(10_000)


def report(payments):
    totals = {}
    for payment in payments:
        amount = decimal.Decimal(payment["amount"])
        totals[payment["currency"]] = totals.get(payment["currency"], 0) + amount
    lines = ["# Payments", "", "| currency | total |", "|---|---|"]
    lines += [f"| {currency} | {total} |" for currency, total in sorted(totals.items())]
    large = [payment["id"] for payment in payments if decimal.Decimal(payment["amount"]) >= LARGE]
    lines += ["", f"Over {LARGE}: payments {', '.join(large)}", ""]
    return "\n".join(lines)


def main():
    with open(INPUT, encoding="utf-8", newline="") as file:
        text = report(list(csv.DictReader(file)))
    with open(REPORT, "w", encoding="utf-8") as file:
        file.write(text)
    with urllib.request.urlopen(LEDGER, data=text.encode(), timeout=10) as answer:
        print(f"filed: {answer.status}")


if __name__ == "__main__":
    main()
