"""Configuration written straight into Postgres."""

import asyncpg

SEED = """
    TRUNCATE config.account, config.deck, config.customer_trunk, config.vendor_trunk,
             config.setting CASCADE;
    INSERT INTO config.account (id, name, currency, digits, rounding, precision_ms) VALUES
      ('acc_c', 'Customer', 'EUR', 4, 'up', 500), ('acc_v', 'Vendor', 'EUR', 6, 'half_up', 1);
    INSERT INTO config.deck (id, name, currency) VALUES
      ('dck_sell', 'sell', 'EUR'), ('dck_buy', 'buy', 'EUR'), ('dck_unused', 'unused', 'EUR');
    INSERT INTO config.rate (deck_id, prefix, first_price, next_price) VALUES
      ('dck_sell', '49', 0.02, 0.02), ('dck_buy', '49', 0.01, 0.01), ('dck_unused', '1', 1, 1);
    INSERT INTO config.customer_trunk (id, name, account_id, deck_id, max_call_s, max_attempts)
      VALUES ('ctr_a', 'in', 'acc_c', 'dck_sell', 90, 3);
    INSERT INTO config.customer_trunk_address VALUES ('192.0.2.1:5060', 'ctr_a');
    INSERT INTO config.vendor_trunk
      (id, name, account_id, deck_id, host, port, transport, priority, weight, max_calls, max_cps,
       media_proxy, callee_strip, callee_prepend, trying_timeout_ms, ringing_timeout_ms,
       stop_codes)
      VALUES ('vtr_a', 'out', 'acc_v', 'dck_buy', '198.51.100.1', 5070, 'tcp', 5, 7, 30, 10,
              false, 2, '0', 900, 9000, '{404,486}'),
             ('vtr_b', 'spare', 'acc_v', 'dck_buy', '198.51.100.2', 5060, 'udp', 6, 1, NULL, NULL,
              true, 0, '', 5000, 120000, '{}');
    INSERT INTO config.customer_trunk_vendor VALUES ('ctr_a', 'vtr_a'), ('ctr_a', 'vtr_b');
    UPDATE config.revision SET n = n + 1;
"""
"""Two accounts, a customer, two vendors on one deck, and a deck nobody uses."""


async def execute(dsn: str, statements: str) -> None:
    """Run statements as the owner of everything."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()
