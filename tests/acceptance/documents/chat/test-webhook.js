// The script of the document: its message, at an address of ours, with a key.

const [url, key] = process.argv.slice(2)

const response = await fetch(url, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
  body: JSON.stringify({
    message: '/video un chat qui court dans un jardin',
    timestamp: new Date().toISOString()
  })
})
console.log(JSON.stringify(await response.json()))
