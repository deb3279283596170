"""What is posted from the log: the inline models and the projections of every context."""

from collections.abc import Sequence

from projections.consumers import inline as consumers
from projections.inline import Posts
from projections.log.streams import Streams
from projections.projection import Rebuildable
from projections.tenancy import inline as tenancy
from projections.webhooks import inline as webhooks
from projections.webhooks.handoff import Handoff

INLINE: Posts = {**tenancy.POSTS, **webhooks.POSTS, **consumers.POSTS}
# Run by every worker; a record of what was done, so never made anew.
HANDOFF = Handoff.name
# Run by every worker, and made anew from the log when somebody asks.
REBUILDABLE: Sequence[Rebuildable] = (Streams(),)
