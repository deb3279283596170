"""What is posted from the log: the inline models and the projections of every context."""

from projections.inline import Posts
from projections.tenancy import inline as tenancy
from projections.webhooks import inline as webhooks

INLINE: Posts = {**tenancy.POSTS, **webhooks.POSTS}
