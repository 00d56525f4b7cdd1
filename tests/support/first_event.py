"""HTTP for tests that look at an answer as a whole: of a stream of events it is what came up to the first one."""

import httpx2


class FirstEvent(httpx2.AsyncHTTPTransport):
    """Hangs up on a stream of events once one has come, so that every route can be called in the same way."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = await super().handle_async_request(request)
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer
        content = b""
        assert isinstance(answer.stream, httpx2.AsyncByteStream)
        async for chunk in answer.stream:
            content += chunk
            if b"\ndata:" in content and content.endswith(b"\n\n"):
                break
        await answer.aclose()
        return httpx2.Response(answer.status_code, headers=answer.headers, content=content, extensions=answer.extensions)
