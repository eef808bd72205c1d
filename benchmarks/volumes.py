"""Owns the volumes that `plans` asks questions of: a province's tables filled to `rows` by the database itself.

Plain rows of the right shape, spread over 200 communes and 5 000 villages; nothing here means anybody.
"""

from __future__ import annotations

import asyncpg

from services.indicators.criteria import library

COMMUNES = 200
VILLAGES = 25
"""Villages of a commune."""

_COMMUNE = "'C' || lpad(({0} % 200)::text, 3, '0')"
_VILLAGE = f"{_COMMUNE.format('c')} || '-' || lpad(v::text, 2, '0')"
_PATH = f"'30/' || 'D' || lpad(({{0}} % 200 / 15)::text, 2, '0') || '/' || {_COMMUNE}"

UNITS = f"""
    INSERT INTO unit (code, valid_from, name, level, kind, parent, path)
    SELECT '30', date '2020-01-01', 'Tỉnh', 'province', 'tinh', '', '30'
    UNION ALL SELECT 'D' || lpad(d::text, 2, '0'), '2020-01-01', 'Huyện ' || d, 'district', 'huyen', '30',
        '30/D' || lpad(d::text, 2, '0') FROM generate_series(0, 13) d
    UNION ALL SELECT {_COMMUNE.format("c")}, '2020-01-01', 'Xã ' || c, 'commune', 'xa',
        'D' || lpad((c / 15)::text, 2, '0'), {_PATH.format("c")} FROM generate_series(0, {COMMUNES - 1}) c
    UNION ALL SELECT {_VILLAGE}, '2020-01-01', 'Thôn ' || v, 'village',
        'thon', {_COMMUNE.format("c")}, {_PATH.format("c")} || '/' || {_VILLAGE}
    FROM generate_series(0, {COMMUNES - 1}) c, generate_series(1, {VILLAGES}) v
    ON CONFLICT DO NOTHING
"""

CHASSIS = {
    "outbox": """
        INSERT INTO outbox (event_id, topic, key, type, subject, sequence, unit, occurred_at, payload, created_at,
            published_at)
        SELECT gen_random_uuid(), 'xaso.bench.v1', 'C' || n % 200, 'xaso.bench.v1.Thing', 'subject-' || n, 1,
            'C' || n % 200, now() - n * interval '1 s', decode(repeat('00', 120), 'hex'), now() - n * interval '1 s',
            CASE WHEN n > 500 THEN now() - n * interval '1 s' END
        FROM generate_series(1, $1::int) n
    """,
    "inbox": "INSERT INTO inbox (event_id, received_at) SELECT gen_random_uuid(), now() - n * interval '1 s' "
    "FROM generate_series(1, $1::int) n",
}

_WORDS = """(ARRAY['Đường liên thôn hư hỏng nhiều ổ gà', 'Rác thải tồn đọng bốc mùi', 'Mất nước sạch nhiều ngày',
    'Đèn đường không sáng', 'Cống thoát nước bị tắc', 'Cây đổ chắn lối đi', 'Loa phát thanh không nghe được',
    'Ruộng bị ngập sau mưa', 'Chợ họp lấn chiếm lòng đường', 'Dây điện sà thấp nguy hiểm'])"""

PETITIONS = {
    "petition": f"""
        INSERT INTO petition (id, code, commune, village, path, category, status, channel, public, description, place,
            reporter, filed_at, due_at)
        SELECT uuidv7(n * interval '-30 s'), 'PA-2026-' || lpad(n::text, 7, '0'), {_COMMUNE.format("n")},
            {_COMMUNE.format("n")} || '-' || lpad((n % 25 + 1)::text, 2, '0'),
            {_PATH.format("n")} || '/' || {_COMMUNE.format("n")} || '-' || lpad((n % 25 + 1)::text, 2, '0'),
            (ARRAY['giao_thong', 'moi_truong', 'dien_nuoc'])[n % 3 + 1],
            CASE WHEN n < $1 / 50 THEN (ARRAY['filed', 'routed', 'reopened'])[n % 3 + 1] WHEN n % 10 = 0 THEN 'answered'
                ELSE 'closed' END,
            'web', n % 20 <> 0, {_WORDS}[n % 10 + 1] || ' số ' || n, 'Ngõ ' || n % 977, 'resident-' || n % 50000,
            now() - n * interval '30 s', now() - n * interval '30 s' + interval '5 days'
        FROM generate_series(1, $1::int) n
    """,
    "entry": """
        INSERT INTO entry (id, petition_id, at, kind, public, by_staff, author)
        SELECT uuidv7(), id, filed_at, 'answered', true, true, 'officer' FROM petition
    """,
}

ECOMMERCE = {
    "producer": f"""
        INSERT INTO producer (id, name, kind, unit, commune, path, account, created_at)
        SELECT uuidv7(), 'Hợp tác xã ' || n, 'cooperative', {_COMMUNE.format("n")} || '-01', {_COMMUNE.format("n")},
            {_PATH.format("n")} || '/' || {_COMMUNE.format("n")} || '-01', 'account-' || n, now()
        FROM generate_series(1, greatest(1, $1::int / 50)) n
    """,
    "product": """
        INSERT INTO product (id, producer_id, unit, commune, path, name, description, price_unit, ocop_decision,
            key_product, status, version, created_at, changed_at, published_at)
        SELECT uuidv7(), p.id, p.unit, p.commune, p.path,
            (ARRAY['Vải thiều', 'Ổi', 'Cà rốt', 'Hành tím', 'Rươi', 'Mắm cáy', 'Bánh đậu xanh'])[n % 7 + 1] || ' ' || n,
            'Sản phẩm của ' || p.name, 'kg', '', n = 1, CASE WHEN n % 10 = 0 THEN 'draft' ELSE 'published' END, 1,
            now() - n * interval '1 h', now(), CASE WHEN n % 10 <> 0 THEN now() - random() * interval '900 days' END
        FROM producer p, generate_series(1, 50) n WHERE $1::int > 0
    """,
    "listing": """
        INSERT INTO listing (id, product_id, channel, url, valid_from, opened_at, created_at)
        SELECT uuidv7(), id, 'postmart', 'https://postmart.vn/' || id, now() - interval '1 day', now(), now()
        FROM product WHERE status = 'published' AND $1::int > 0
    """,
}

# Beside what `provinces` enters: sales told by events, every word kept, and observations. Units are those of the table.
_VILLAGES = "(SELECT count(*) FROM unit WHERE level = 'village')"
_PLACED = f"""(SELECT *, code || '@' || valid_from AS key, row_number() OVER (ORDER BY code) - 1 AS place
    FROM unit WHERE level = 'village') u ON u.place = n % {_VILLAGES}"""
_ROWS = ", ".join(
    f"({place}, '{set_code}', '{item_code}')"
    for place, (set_code, item_code) in enumerate(
        (s.code, item.code) for s in library.catalogue().sets.values() if s.level == "village" for item in s.items
    )
)
LOG = {
    # The rows of the villages again and again, the newest a day old.
    "change": f"""
        INSERT INTO change (position, unit, code, path, set_code, item_code, before, after, numerator, denominator, met,
            total, cause, at, rolled)
        SELECT n, u.key, u.code, u.path, r.set_code, r.item_code, 'unmet', 'unmet', n % 100, 100, 3, 9, 'bench:' || n,
            now() - interval '1 day' - ($1::int - n) * interval '20 s', true
        FROM generate_series(1, $1::int) n JOIN {_PLACED}
        JOIN (VALUES {_ROWS}) r (place, set_code, item_code)
            ON r.place = n / {_VILLAGES} % {_ROWS.count("(")}
    """,
}
INDICATORS = LOG | {
    "fact": f"""
        INSERT INTO fact (attribute, entity, source, origin, unit, period, state, withdrawn, sequence, cause,
            observed_at, heap_period)
        SELECT 'product.sale', uuidv7(n * interval '-30 s')::text, 'ecommerce', 'event', u.key, '', 'other', false, 1,
            'bench:' || n, day, to_char(day, 'YYYY')
        FROM generate_series(1, $1::int) n JOIN {_PLACED}
        CROSS JOIN LATERAL (SELECT now() - n % 90 * interval '1 day' AS day) observed
    """,
    "fact_history": """
        INSERT INTO fact_history (attribute, entity, source, sequence, cause, origin, unit, period, state, numerator,
            denominator, withdrawn, observed_at)
        SELECT attribute, entity, source, sequence, cause, origin, unit, period, state, numerator, denominator,
            withdrawn, observed_at FROM fact
    """,
    "observation": f"""
        INSERT INTO observation (client, id, digest, unit, content, source, evidence, observed_at, received_at)
        SELECT 'bench', 'observation-' || n, decode('00', 'hex'), u.code, '{{}}', 'nguồn', '', now(),
            now() - n * interval '1 s'
        FROM generate_series(1, $1::int) n JOIN {_PLACED}
    """,
}


async def fill(connection: asyncpg.Connection, tables: dict[str, str], rows: int) -> dict[str, int]:
    """Fill tables in order; indexes that no constraint needs are made afterwards, which is quicker. Rows by table."""
    counts: dict[str, int] = {}
    for table, statement in tables.items():
        indexes = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = $1 AND NOT EXISTS "
            "(SELECT FROM pg_constraint WHERE conname = indexname)",
            table,
        )
        for index in indexes:
            await connection.execute(f'DROP INDEX "{index["indexname"]}"')
        given = (rows,) if "$1" in statement else ()
        await connection.execute(statement, *given, timeout=1800)
        await connection.execute("SET maintenance_work_mem = '512MB'")
        for index in indexes:
            await connection.execute(index["indexdef"], timeout=1800)
        await connection.execute(f"VACUUM ANALYZE {table}", timeout=1800)
        counts[table] = await connection.fetchval(f"SELECT count(*) FROM {table}")
    return counts
