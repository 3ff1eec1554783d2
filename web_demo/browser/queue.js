// Says that the page is busy in a sentence of its own. For a full queue (status 503), Gradio's page has a fixed text that
// does not say how long to wait; for other statuses it shows the server's sentence. In the head of the page.

{
  const BUSY = "This page has too much to do at the moment; try again in a minute.";
  const fetchBefore = window.fetch.bind(window);
  window.fetch = async (address, options) => {
    const answer = await fetchBefore(address, options);
    if (answer.status !== 503 || !/\/queue\/join(\?|$)/.test(String(address))) return answer;
    return new Response(JSON.stringify({ detail: BUSY }), { status: 429, headers: { "content-type": "application/json" } });
  };
}
