"""Owns how long files are kept that came to nothing: put aside, unreadable, or refused when they were to be applied.

After some days what they held is cleared: the file, the values read from it, and what was wrong in its cells. That
somebody handed it in, when, and what became of it stays, with the digest of the file. Whatever figures rest on is kept.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

MOST = 100
"""Files cleared in one transaction."""

# A file without content was cleared: an empty one is never taken in. Its length is told without reading it.
_DUE = sa.text("""
    SELECT i.id, i.document FROM import i JOIN evidence_file d ON d.id = i.document
    WHERE i.state IN ('discarded', 'unreadable', 'refused') AND i.created_at < :before
      AND octet_length(d.content) > 0 AND NOT EXISTS (SELECT FROM observation o WHERE o.document = d.id)
    ORDER BY i.id LIMIT :most FOR NO KEY UPDATE OF i SKIP LOCKED
""")
_CLEAR = sa.text("UPDATE evidence_file SET content = '' WHERE id = ANY(CAST(:documents AS uuid[]))")
_FORGET = [
    sa.text(f"DELETE FROM {table} WHERE import = ANY(CAST(:imports AS uuid[]))")
    for table in ("import_chunk", "import_fault")
]


async def clear(tx: AsyncSession, before: datetime) -> int:
    """Clear up to `MOST` files that were handed in before an instant and came to nothing; returns how many."""
    due = (await tx.execute(_DUE, {"before": before, "most": MOST})).all()
    if due:
        await tx.execute(_CLEAR, {"documents": [row.document for row in due]})
        for forget in _FORGET:
            await tx.execute(forget, {"imports": [row.id for row in due]})
    return len(due)
