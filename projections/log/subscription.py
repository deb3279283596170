"""The library's subscription to the log: what is there, then each new notification."""

import time
from collections.abc import Sequence

from eventsourcing.persistence import (
    ApplicationRecorder,
    Notification,
    Subscription,
)


class LogSubscription(Subscription[ApplicationRecorder]):
    """By polling: simple, and it cannot miss a wake-up."""

    POLL_SECONDS = 0.05
    PAGE = 500

    def __init__(
        self, recorder: ApplicationRecorder, gt: int | None, topics: Sequence[str]
    ) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._page: list[Notification] = []

    def __next__(self) -> Notification:
        """The next notification; waits for it, ends when stopped."""
        while not self._has_been_stopped:
            if self._page:
                notification = self._page.pop(0)
                self._last_notification_id = notification.id
                return notification
            self._page = self._next_page()
            if not self._page:
                time.sleep(self.POLL_SECONDS)
        raise StopIteration

    def _next_page(self) -> list[Notification]:
        return list(
            self._recorder.select_notifications(
                self._last_notification_id,
                self.PAGE,
                topics=self._topics,
                inclusive_of_start=False,
            )
        )
