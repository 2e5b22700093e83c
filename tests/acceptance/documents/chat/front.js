// A front after the code of the document: what it reads, and what it shows in the end, on standard output.

import { configure, getPendingVideos, getVideoByTaskId, supabase } from '../../../../clients/js/supabase.js'

const [what, baseUrl, apiKey, argument] = process.argv.slice(2)
configure({ baseUrl, apiKey })

const show = (value) => console.log(JSON.stringify(value))

const parts = {
  byTaskId: async () => show(await getVideoByTaskId(argument).catch((error) => ({ error: error.message, code: error.code }))),

  pending: async () => show(await getPendingVideos()),

  // `MultimodalDisplay.jsx`; there it is every five seconds.
  display: () => {
    const response = JSON.parse(argument)
    if (response?.metadata?.taskId && response?.metadata?.status === 'processing') {
      const interval = setInterval(async () => {
        try {
          const video = await getVideoByTaskId(response.metadata.taskId)
          if (video.status === 'completed') {
            show({
              success: true,
              type: 'video',
              content: {
                url: video.video_url,
                description: video.prompt
              }
            })
            clearInterval(interval)
          }
        } catch (err) {
          console.error('Erreur polling vidéo:', err)
        }
      }, 500)
    }
  },

  // `App.jsx`
  realtime: () => {
    const subscription = supabase
      .channel('video_tasks')
      .on('postgres_changes', {
        event: 'UPDATE',
        schema: 'public',
        table: 'video_tasks'
      }, (payload) => {
        if (payload.new.status === 'completed') {
          show({
            type: 'video',
            content: { url: payload.new.video_url }
          })
          subscription.unsubscribe()
        }
      })
      .subscribe(show)
  }
}

await parts[what]()
